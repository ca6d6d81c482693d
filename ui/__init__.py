"""The Gradio app: layout, control of a run, the player component, the panels."""

import sys

from deepforcing import mind_proxies

for _note in mind_proxies():  # before Gradio is imported, which makes an HTTP client
    print(_note, file=sys.stderr)
