"""Deep Forcing in the browser: `python app.py`, then open the address that it prints."""

from __future__ import annotations

import argparse
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin would take the processor from the server

from deepforcing import ModelError, load_pipeline
from ui.app import App


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny", help="'tiny', the embedded model, or a folder with a model in it")
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 when not given")
    parser.add_argument("--share", action="store_true", help="make a public link")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Load, build, serve. 0 after a normal end; 2, with one readable line, for a model that cannot be used."""
    asked = read_arguments(arguments)
    try:
        pipeline = load_pipeline(asked.model)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    App(pipeline).launch(server_name=asked.host, server_port=asked.port, share=asked.share, inbrowser=asked.open)
    return 0


if __name__ == "__main__":
    sys.exit(main())
