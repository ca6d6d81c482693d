"""The page with a model: `python -m deepforcing serve`, or `python app.py`; then open the address that it prints."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from deepforcing import (
    Loading,
    ModelError,
    SettingsError,
    add_loading,
    device_for,
    is_tiny,
    load_pipeline,
    loading_from,
    needs_of,
    own_policy,
)

from .app import App
from .hosting.replicas import Replicas, Size, check_ray
from .hosting.zero_gpu import make_ready, on_zero_gpu
from .lessons.lesson import LessonError
from .loading.loader import Loader, TerminalLines
from .loading.requirements import offer_of, prepare
from .page.ending import serve_until_told


def read_arguments(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ):
    """What the command line asks for. A Space, which has none, asks by the variable DEEPFORCING_OPTIONS."""
    parser = argparse.ArgumentParser(prog="deepforcing serve", description=__doc__)
    add_loading(parser)
    parser.add_argument("--compile", action="store_true", help="slow first chunks, faster ones later")
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        help="agree to the licences, also non-commercial ones, fetch and load without asking",
    )
    parser.add_argument("--lessons", type=Path, metavar="FOLDER", help="more lessons, as Markdown files")
    parser.add_argument(
        "--runs",
        type=int,
        metavar="N",
        help="videos made at once, in turns; the rest wait in line (default: as many as the measured speed allows)",
    )
    parser.add_argument(
        "--replicas",
        metavar="N",
        help="so many models, each on a device of its own, or as many as are busy, such as 1-4; needs Ray",
    )
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 when not given")
    parser.add_argument("--share", action="store_true", help="make a public link")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    given = sys.argv[1:] if arguments is None else arguments
    return parser.parse_args([*shlex.split(environment.get("DEEPFORCING_OPTIONS", "")), *given])


def main(arguments: list[str] | None = None) -> int:
    """Load, build, serve. 0 after a normal end; 2, with one readable line, for a model or port that cannot be used."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    logging.getLogger("deepforcing").setLevel(logging.INFO)  # a line a run
    asked = read_arguments(arguments)
    try:
        app = open_app(asked)
        served = {"server_name": asked.host, "server_port": asked.port, "share": asked.share, "inbrowser": asked.open}
        app.launch(**served, prevent_thread_lock=True)
        serve_until_told(app.blocks, app.end)
    except (ModelError, SettingsError, LessonError, OSError) as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2
    return 0


def open_app(asked: argparse.Namespace) -> App:
    """The app over a model, or over the offer to fetch and load it. Raises ModelError, SettingsError, LessonError."""
    model, loading = asked.model, loading_from(asked, compiled=asked.compile and not on_zero_gpu())
    if asked.replicas is not None:
        return _with_replicas(asked, model, loading)
    if is_tiny(model):
        return App(load_pipeline(model, loading=loading), lessons=asked.lessons, runs=asked.runs)
    if on_zero_gpu():  # what a worker is to have must be there before the launch
        pipeline = prepare(model, loading, asked.accept_licence, TerminalLines())
        make_ready(pipeline, compiled=asked.compile)
        return App(pipeline, own_policy(model, loading), lessons=asked.lessons, runs=asked.runs)
    needs = needs_of(model, loading)
    offer = offer_of(needs, asked.accept_licence)
    print(offer.text, *(["", "Go on in the page, or start with --accept-licence."] if offer.asks else []), sep="\n")
    loader = Loader(lambda report: prepare(model, loading, True, report), offer, TerminalLines())
    return App(loader, needs.plan.policy, lessons=asked.lessons, runs=asked.runs, loras=loading.named_loras)


def _with_replicas(asked: argparse.Namespace, model: str, loading: Loading) -> App:
    """The app over several models in processes of their own; one more here, on the CPU, knows words and sizes. What is
    published has to be fetched before. Raises ModelError, SettingsError, LessonError."""
    size = Size.read(asked.replicas, asked.runs or 1, float(device_for(loading.device).type == "cuda"))
    check_ray()
    policy = None if is_tiny(model) else own_policy(model, loading)
    here = load_pipeline(model, loading=replace(loading, device="cpu", compiled=False))
    replicas = Replicas(partial(load_pipeline, model, loading=loading), size)
    return App(here, policy, lessons=asked.lessons, replicas=replicas)
