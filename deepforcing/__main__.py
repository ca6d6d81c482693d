"""Command line: `python -m deepforcing generate | bench`. A refused request ends with status 2 and one line."""

from __future__ import annotations

import argparse
import sys
import time

from tqdm import tqdm

from . import __version__
from .bench import bench
from .config import SettingsError
from .models.components import ModelError
from .pipeline import Pipeline, PromptError, generate_long_video, load_pipeline
from .policies import POLICIES, Policy, make_policy, settings_of
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
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_generate)
    parser.add_argument("prompt")
    parser.add_argument("-o", "--output", default="out.mp4", help="MP4 file (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="tiny", help="'tiny', or a folder")
    parser.add_argument("--policy", default="deep-forcing", help=", ".join(POLICIES))
    parser.add_argument("--window", type=int, help="latent frames attended to, the chunk in flight included")
    parser.add_argument("--sink", type=int, help="first latent frames that are kept for ever")
    parser.add_argument("--budget", type=int, help="latent frames' worth of tokens left by compression")
    parser.add_argument("--recent", type=int, help="latest latent frames that compression leaves whole")
    parser.add_argument("--phase", help="released, contiguous or none: where in time the sink stands")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_bench)
    parser.add_argument("--model", default="tiny", help="'tiny', or a folder")
    parser.add_argument("--chunks", type=int, default=40, help="chunks a competitor (default: %(default)s)")
    parser.add_argument("--latents", type=int, default=1000, help="length of the endurance run (default: %(default)s)")


def _policy(options: argparse.Namespace) -> Policy:
    names = ("window", "sink", "budget", "recent", "phase")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return make_policy(options.policy, **given)


def _generate(options: argparse.Namespace) -> int:
    policy = _policy(options)
    pipeline = load_pipeline(options.model)
    if not 0 < options.seconds < float("inf"):
        raise SettingsError(f"--seconds must be more than 0, not {options.seconds}")
    frames = max(1, round(options.seconds * pipeline.shape.fps))
    chunks = generate_long_video(pipeline, options.prompt, num_frames=frames, policy=policy, seed=options.seed)
    if unknown := pipeline.unknown_words(options.prompt):
        print(f"note: this model has not seen: {', '.join(unknown)}", file=sys.stderr)
    started = time.perf_counter()
    with VideoWriter(options.output, pipeline.shape, _metadata(pipeline, policy, options)) as video:
        with tqdm(total=frames, unit="frame") as bar:
            for chunk in chunks:
                video.write(chunk.frames)
                bar.update(len(chunk.frames))
    seconds = time.perf_counter() - started
    print(f"{options.output}: {frames} frames, {frames / pipeline.shape.fps:.1f} s of video in {seconds:.1f} s")
    return 0


def _metadata(pipeline: Pipeline, policy: Policy, options: argparse.Namespace) -> dict[str, str]:
    settings = ", ".join(f"{name}={value}" for name, value in settings_of(policy).items())
    comment = f"seed {options.seed}; {policy.name} ({settings}); model {pipeline.name}; deepforcing {__version__}"
    return {"title": options.prompt, "comment": comment}


def _bench(options: argparse.Namespace) -> int:
    if options.chunks < 2 or options.latents < 60:
        raise SettingsError("--chunks must be at least 2 and --latents at least 60")
    pipeline = load_pipeline(options.model)
    for row in bench(pipeline, options.chunks, options.latents, lambda items: tqdm(items, leave=False, unit="chunk")):
        print(f"{row.name:55s} {row.value}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
