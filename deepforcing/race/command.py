"""`python -m deepforcing race`: a video of the runners side by side, and where they stand at its end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

from tqdm import tqdm

from ..models.components import ModelError
from ..options import add_loading
from ..out_of_memory import is_out_of_memory
from ..pipeline import Pipeline
from ..policies import POLICIES, Policy
from ..prompt_options import add_prompts, check_seconds, check_words, prompt_metadata, timeline_from
from ..timeline import Timeline
from ..version import __version__
from ..video_file import check_video_path
from .course import Round, race
from .runner import Runner, check_field, read_runner, widest
from .stream import explain_race
from .table import table
from .video import RaceVideo

Load = Callable[[argparse.Namespace, Policy], Pipeline]
"""What loads the model that the options ask for, to run such a policy."""


def add_race(parser: argparse.ArgumentParser, load: Load) -> None:
    """The command's options, for `deepforcing.commands`."""
    parser.set_defaults(run=lambda options: _run(options, load))
    add_prompts(parser)
    known = f"a policy ({', '.join(POLICIES)}) and its settings, such as 'deep-forcing phase=none'; also switch=, melt="
    parser.add_argument("--runner", action="append", default=[], metavar="RUNNER", help=f"{known}; two to four times")
    parser.add_argument("-o", "--output", default="race.mp4", help="MP4 file (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each video (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    add_loading(parser)


def _run(options: argparse.Namespace, load: Load) -> int:
    check_seconds(options.seconds)
    timeline = timeline_from(options)
    runners = check_field([read_runner(text, options.switch) for text in options.runner])
    check_video_path(options.output)
    pipeline = load(options, widest(runners))
    check_words(pipeline.text, timeline, options)
    frames = max(1, round(options.seconds * pipeline.shape.fps))
    rounds = race(pipeline, timeline, runners, seed=options.seed, num_frames=frames)
    with RaceVideo(options.output, pipeline.shape, runners, _metadata(pipeline, timeline, runners, options)) as video:
        with tqdm(total=frames, unit="frame") as bar:
            for last in _explained(rounds, runners, pipeline):
                video.write(last)
                bar.update(len(last.laps[0].chunk.frames))
    print(f"{options.output}: {frames} frames, {frames / pipeline.shape.fps:.1f} s of video of each runner")
    print(*table(runners, last), sep="\n")
    return 0


def _explained(rounds: Iterator[Round], runners: Sequence[Runner], pipeline: Pipeline) -> Iterator[Round]:
    """The rounds; a want of memory becomes a ModelError that says what to change."""
    try:
        yield from rounds
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(explain_race(runners, pipeline.denoiser.device)) from None


def _metadata(
    pipeline: Pipeline, timeline: Timeline, runners: Sequence[Runner], options: argparse.Namespace
) -> dict[str, str]:
    field = "; ".join(f"{runner.label}: {runner.settings}" for runner in runners)
    comment = f"race, seed {options.seed}; {field}; model {pipeline.name}; deepforcing {__version__}"
    return {**prompt_metadata(timeline, options.switch), "comment": comment}
