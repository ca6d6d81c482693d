"""Command line: `python -m deepforcing generate | bench | evaluate | fetch`.

A refused request ends with status 2 and one line.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from . import __version__
from .bench import Row, bench, bench_shape
from .config import SettingsError
from .evaluation.command import add_evaluate
from .models.components import ModelError, best_device
from .models.fetch import LicenceError, Progress, fetch, present
from .models.released import Loading
from .models.shapes import SHAPES, shape_named
from .models.sources import SOURCES, Part, Source, readable
from .pipeline import Pipeline, generate_long_video, load_pipeline
from .policies import POLICIES, Policy, make_policy, settings_of
from .prompt import PromptError
from .prompt_options import add_prompts, prompt_metadata, timeline_from
from .timeline import Timeline
from .video_file import VideoWriter

_REFUSED = (SettingsError, PromptError, ModelError, OSError)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except _REFUSED as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deepforcing", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_generate(commands.add_parser("generate", help="write a video of any length"))
    _add_bench(commands.add_parser("bench", help="measure speed and memory"))
    add_evaluate(commands.add_parser("evaluate", help="compare policies over a minute, and report"))
    _add_fetch(commands.add_parser("fetch", help="download a published model"))
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_generate)
    add_prompts(parser)
    parser.add_argument("-o", "--output", default="out.mp4", help="MP4 file (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    _add_loading(parser)
    parser.add_argument("--policy", default="deep-forcing", help=", ".join(POLICIES))
    parser.add_argument("--window", type=int, help="latent frames attended to, the chunk in flight included")
    parser.add_argument("--sink", type=int, help="first latent frames that are kept for ever")
    parser.add_argument("--budget", type=int, help="latent frames' worth of tokens left by compression")
    parser.add_argument("--recent", type=int, help="latest latent frames that compression leaves whole")
    parser.add_argument("--phase", help="released, contiguous or none: where in time the sink stands")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the policy")


def _add_loading(parser: argparse.ArgumentParser) -> None:
    known = Loading()
    parser.add_argument("--model", default="tiny", help=f"tiny, {', '.join(SOURCES)}, or a path (default: %(default)s)")
    parser.add_argument("--decoder", default=known.decoder, help="full or small; all but tiny models")
    parser.add_argument("--text", default=known.text, help="the text encoder's place: device, move, cpu or free")
    parser.add_argument("--weights", default=known.weights, help="the transformer's: resident, fp8 or offload")
    parser.add_argument("--height", type=int, help="pixels; the model's own when not given")
    parser.add_argument("--width", type=int, help="pixels; the model's own when not given")


def _load(options: argparse.Namespace) -> Pipeline:
    names = ("decoder", "text", "weights", "height", "width")
    return load_pipeline(options.model, loading=Loading(**{name: getattr(options, name) for name in names}))


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_bench)
    _add_loading(parser)
    parser.add_argument("--chunks", type=int, default=40, help="chunks a competitor (default: %(default)s)")
    parser.add_argument("--latents", type=int, default=1000, help="length of the endurance run (default: %(default)s)")
    parser.add_argument("--shape", help=f"instead of a model, random weights of this shape: {', '.join(SHAPES)}")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="of a shape (default: on CUDA only)")


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_fetch)
    parser.add_argument("model", help=" or ".join(SOURCES))
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to put it (default: the hub's cache)")
    parser.add_argument("--small-decoder", action="store_true", help="also the small video decoder")
    parser.add_argument("--accept-licence", action="store_true", help="agree to the licences, also non-commercial ones")


def _policy(options: argparse.Namespace) -> Policy:
    names = ("window", "sink", "budget", "recent", "phase")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    for name, value in map(_setting, options.set):
        if name in given:
            raise SettingsError(f"{name} is given twice")
        given[name] = value
    return make_policy(options.policy, **given)


def _setting(text: str) -> tuple[str, int | str]:
    """'max_reuse=0' -> ('max_reuse', 0). What is allowed is the policy's to say."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"--set needs NAME=VALUE, not {text!r}")
    return name, int(value) if value.isdecimal() else value


def _generate(options: argparse.Namespace) -> int:
    policy = _policy(options)
    if not 0 < options.seconds < float("inf"):
        raise SettingsError(f"--seconds must be more than 0, not {options.seconds}")
    timeline = timeline_from(options)
    pipeline = _load(options)
    frames = max(1, round(options.seconds * pipeline.shape.fps))
    chunks = generate_long_video(
        pipeline, timeline, num_frames=frames, policy=policy, seed=options.seed, switch=options.switch
    )
    if unknown := pipeline.unknown_words(" ".join(timeline.prompts)):
        print(f"note: this model has not seen: {', '.join(unknown)}", file=sys.stderr)
    started = time.perf_counter()
    with VideoWriter(options.output, pipeline.shape, _metadata(pipeline, policy, timeline, options)) as video:
        with tqdm(total=frames, unit="frame") as bar:
            for chunk in chunks:
                video.write(chunk.frames)
                bar.update(len(chunk.frames))
    seconds = time.perf_counter() - started
    print(f"{options.output}: {frames} frames, {frames / pipeline.shape.fps:.1f} s of video in {seconds:.1f} s")
    return 0


def _metadata(
    pipeline: Pipeline, policy: Policy, timeline: Timeline, options: argparse.Namespace
) -> dict[str, str]:
    settings = ", ".join(f"{name}={value}" for name, value in settings_of(policy).items())
    comment = f"seed {options.seed}; {policy.name} ({settings}); model {pipeline.name}; deepforcing {__version__}"
    return {**prompt_metadata(timeline, options.switch), "comment": comment}


def _bench(options: argparse.Namespace) -> int:
    if options.chunks < 2 or options.latents < 60:
        raise SettingsError("--chunks must be at least 2 and --latents at least 60")
    for row in _bench_shape(options) if options.shape else _bench_model(options):
        print(f"{row.name:55s} {row.value}", flush=True)
    return 0


def _bench_model(options: argparse.Namespace) -> Iterator[Row]:
    return bench(_load(options), options.chunks, options.latents, _bar)


def _bench_shape(options: argparse.Namespace) -> Iterator[Row]:
    shape_named(options.shape)
    device, name = best_device(), options.shape
    if device.type == "cpu" and name != "small":
        print(f"note: {name} is measured on CUDA, and there is none: the shape 'small' instead", file=sys.stderr)
        name = "small"
    wanted = device.type == "cuda" if options.compile is None else options.compile
    return bench_shape(name, device, options.chunks, "inductor" if wanted else None, _bar)


def _bar(items: Iterable) -> tqdm:
    return tqdm(items, leave=False, unit="chunk")


def _fetch(options: argparse.Namespace) -> int:
    if options.model not in SOURCES:
        raise SettingsError(f"unknown model {options.model!r}: expected {' or '.join(SOURCES)}")
    source = SOURCES[options.model]
    names = [part.name for part in source.parts if options.small_decoder or not part.optional]
    parts = source.choose(names)
    missing = tuple(part for part in parts if part.name not in present(source, parts=names, folder=options.to))
    _print_parts(source, parts, missing)
    if not options.accept_licence:
        _ask_for_licences(source, missing)
    with tqdm(total=0, unit="B", unit_scale=True, disable=not missing) as bar:
        paths = fetch(
            source,
            parts=names,
            folder=options.to,
            accept_non_commercial=True,
            progress=lambda step: _show(bar, step),
        )
    for name, path in paths.items():
        print(f"{name:14s} {path}")
    return 0


def _print_parts(source: Source, parts: tuple[Part, ...], missing: tuple[Part, ...]) -> None:
    print(f"{source.title}: {readable(sum(part.bytes for part in missing))} to fetch")
    for part in parts:
        state = readable(part.bytes) if part in missing else "is here"
        print(f"{part.name:14s} {state:>8s}  {part.licence:16s} {part.repo}")
    for note in dict.fromkeys(f"{part.licence}: {part.licence_url}" for part in parts):
        print(note)
    for part in parts:
        if part.licence_note:
            print(f"{part.name}: {part.licence_note}")


def _ask_for_licences(source: Source, missing: tuple[Part, ...]) -> None:
    """LicenceError unless the person at the terminal agrees; where there is no person, at once."""
    bound = tuple(part for part in missing if part.non_commercial)
    if not bound:
        return
    question = f"{', '.join(part.name for part in bound)}: non-commercial use only. Do you agree? [y/N] "
    if not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes"):
        raise LicenceError(source, bound)


def _show(bar: tqdm, step: Progress) -> None:
    if not bar.total:  # the first report: what an earlier attempt left behind is no speed of this one
        bar.reset(step.total_bytes)
        bar.initial = bar.n = step.done_bytes
    bar.set_description_str(f"{step.file} ({step.files_done}/{step.files_total})", refresh=False)
    bar.update(step.done_bytes - bar.n)


if __name__ == "__main__":
    sys.exit(main())
