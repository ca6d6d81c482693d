"""Make the recorded runs that come with the project, from the weights as they are: `python -m tests.ui.traces`."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from deepforcing import (
    DeepForcing,
    DeepSink,
    DriftMeter,
    Pipeline,
    Policy,
    SlidingWindow,
    StreamEnded,
    TraceWriter,
    VideoWriter,
    generate_long_video,
    load_pipeline,
)
from deepforcing.pipeline import started_event
from ui.recordings.library import OF_LESSONS, SHIPPED

SEED = 7
BALLOON = "a red balloon drifting over the city at sunset"


@dataclass(frozen=True)
class Take:
    """One run. prompts: (second, prompt from there on). folder: where its file goes."""

    name: str
    policy: Policy
    seconds: int
    prompts: tuple[tuple[float, str], ...] = ((0, BALLOON),)
    folder: Path = SHIPPED


BOAT_THEN_STAR = (
    (0, "a white boat swaying over the sea by day"),
    (10, "a yellow star drifting over snowy mountains at night"),
)
TAKES = (
    Take("deep-forcing", DeepForcing(), 30),
    Take("self-forcing", SlidingWindow(), 30),
    Take("new-prompt", DeepForcing(), 38, BOAT_THEN_STAR),
    Take("new-prompt-sink-left-behind", DeepForcing(phase="none"), 38, BOAT_THEN_STAR),
    Take("drawn-by-lot", DeepForcing(score="random"), 20, folder=OF_LESSONS),
    Take("sink-of-eighteen", DeepSink(sink=18), 15, folder=OF_LESSONS),
)


def main() -> None:
    """Write them all."""
    OF_LESSONS.mkdir(parents=True, exist_ok=True)
    pipeline = load_pipeline("tiny")
    for take in TAKES:
        path = record(pipeline, take)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def record(pipeline: Pipeline, take: Take) -> Path:
    """Generate the run, with its probe, and put its trace on the shelf."""
    frames = take.seconds * pipeline.shape.fps

    def prompt_for(index: int) -> str:
        second = max(0, 12 * index - 3) / pipeline.shape.fps
        return [prompt for begins, prompt in take.prompts if begins <= second][-1]

    started = started_event(pipeline, take.prompts[0][1], take.policy, SEED)
    meter = DriftMeter.of(started)
    chunks = generate_long_video(pipeline, prompt_for, num_frames=frames, policy=take.policy, seed=SEED, probe=True)
    with TemporaryDirectory() as folder, TraceWriter(take.folder / f"{take.name}.trace") as trace:
        trace.write(started)
        video = Path(folder) / "video.mp4"
        with VideoWriter(video, pipeline.shape, {"title": take.prompts[0][1]}) as movie:
            for chunk in tqdm(chunks, total=1 + frames // 12, desc=take.name, leave=False, disable=None):
                movie.write(chunk.frames)
                trace.write(chunk, meter.add(chunk))
        trace.write(StreamEnded("finished", trace.chunks))
        return trace.finish(video)


if __name__ == "__main__":
    main()
