"""The Gradio app: layout, control of a run, the player component, the panels.

What Gradio finds in its surroundings is put right here, before it is imported.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

from deepforcing import mind_proxies


def writable(folder: Path) -> bool:
    """Whether files can be written into a folder, which is made where there is none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


for _note in mind_proxies():
    print(_note, file=sys.stderr)
# A server deletes what it has cached when it ends, by name: without a folder of its own, another server's pictures too.
_place = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio")
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="gradio-", dir=_place if writable(_place) else None)
atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)
