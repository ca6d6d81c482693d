"""Deep Forcing in the browser: `python app.py`, then open the address that it prints."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin would take the processor from the server

from deepforcing import (
    SOURCES,
    AttentionSink,
    DeepForcing,
    Loading,
    ModelError,
    Policy,
    SettingsError,
    Source,
    load_pipeline,
    needs_of,
)
from ui.app import App
from ui.loading import Loader, TerminalLines
from ui.offer import offer_of, prepare
from ui.spaces import on_zero_gpu

FIVE_SECONDS = 21  # latent frames, the window that Deep Forcing's settings are made for


def read_arguments(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ):
    """What the command line asks for. A Space, which has none, asks by the variable DEEPFORCING_OPTIONS."""
    parser = argparse.ArgumentParser(description=__doc__)
    known = f"'tiny', the embedded model (default); {', '.join(SOURCES)}: fetched at the first start; or a path"
    parser.add_argument("--model", default="tiny", help=known)
    parser.add_argument("--decoder", choices=("full", "small"), default="full", help="small: faster, a little softer")
    parser.add_argument(
        "--text", choices=("device", "move", "cpu", "free"), default="device", help="text encoder's place"
    )
    parser.add_argument(
        "--weights", choices=("resident", "fp8", "offload"), default="resident", help="the transformer's"
    )
    parser.add_argument("--size", metavar="HEIGHTxWIDTH", help="pixels of the video, such as 320x576")
    parser.add_argument("--compile", action="store_true", help="slow first chunks, faster ones later")
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        help="agree to the licences, also non-commercial ones, and fetch without asking",
    )
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 when not given")
    parser.add_argument("--share", action="store_true", help="make a public link")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    given = sys.argv[1:] if arguments is None else arguments
    return parser.parse_args([*shlex.split(environment.get("DEEPFORCING_OPTIONS", "")), *given])


def main(arguments: list[str] | None = None) -> int:
    """Load, build, serve. 0 after a normal end; 2, with one readable line, for a model that cannot be used."""
    asked = read_arguments(arguments)
    try:
        app = open_app(asked)
    except (ModelError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    app.launch(server_name=asked.host, server_port=asked.port, share=asked.share, inbrowser=asked.open)
    return 0


def open_app(asked: argparse.Namespace) -> App:
    """The app over a model that is here, or that the page offers to fetch. Raises ModelError and SettingsError."""
    loading = loading_of(asked)
    if asked.model not in SOURCES:
        return App(load_pipeline(asked.model, loading=loading))
    source, policy = SOURCES[asked.model], policy_of(SOURCES[asked.model])
    if on_zero_gpu():  # what a worker is to have must be there before the launch
        return App(prepare(source, loading, asked.accept_licence, TerminalLines()), policy)
    offer = offer_of(needs_of(source, loading, policy), asked.accept_licence)
    print(offer.text, *(["Go on in the page, or start with --accept-licence."] if offer.asks else []), sep="\n")
    return App(Loader(lambda report: prepare(source, loading, True, report), offer, TerminalLines()), policy)


def loading_of(asked: argparse.Namespace) -> Loading:
    """Raises SettingsError for a size that is none."""
    height, width = None, None
    if asked.size is not None:
        sides = asked.size.lower().split("x")
        if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
            raise SettingsError(f"--size must be HEIGHTxWIDTH, such as 480x832, not {asked.size!r}")
        height, width = map(int, sides)
    compiled = asked.compile and not on_zero_gpu()  # a worker there is too short-lived to compile
    return Loading(asked.decoder, asked.text, asked.weights, height, width, compiled)


def policy_of(source: Source) -> Policy:
    """What the page opens with: Deep Forcing where the model has its window, else what the model was trained with."""
    return DeepForcing() if source.window == FIVE_SECONDS else AttentionSink(window=source.window, sink=source.sink)


if __name__ == "__main__":
    sys.exit(main())
