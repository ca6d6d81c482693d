"""One viewer's race, recorded side by side, and folded into messages: one a round, with all that every runner did."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from deepforcing import (
    Pipeline,
    RaceStarted,
    RaceStream,
    RaceVideo,
    Round,
    Runner,
    StreamEnded,
    Timeline,
    VideoShape,
)

from ..player.messages import Codec, ended_message
from ..runs.files import Files, file_name, left_by, told
from ..runs.paced_run import PacedRun


@dataclass(frozen=True)
class RaceOrder:
    """What a viewer asked for. num_frames: video frames of each runner."""

    prompt: str | Timeline
    seed: int
    runners: tuple[Runner, ...]
    num_frames: int
    begun: ClassVar[float] = 0.0

    def stream(self, pipeline: Pipeline) -> RaceStream:
        """Not started. Raises PromptError or SettingsError for an order that cannot work."""
        return RaceStream(pipeline, self.prompt, self.runners, seed=self.seed, num_frames=self.num_frames, max_queued=0)

    def run(self, pipeline: Pipeline, folder: Path, name: str) -> RaceRun:
        """Its run, for when its turn has come. Raises as `stream` does."""
        return RaceRun(pipeline, self, folder, name)


class RaceRun(PacedRun):
    """Made when its turn has come. Raises PromptError or SettingsError for an order that cannot work."""

    def __init__(self, pipeline: Pipeline, order: RaceOrder, folder: Path, name: str) -> None:
        super().__init__(order.stream(pipeline), pipeline.shape.fps, name)
        self._order, self._folder = order, folder
        self._video: RaceVideo | None = None
        self._path: Path | None = None

    def _fold(self, event: RaceStarted | Round | StreamEnded | None) -> Iterator[dict]:
        if isinstance(event, RaceStarted):
            yield race_started_message(event)
            yield from self._attempt(lambda: self._open(event))
        elif isinstance(event, Round):
            self._made(len(event.laps[0].chunk.frames))
            yield round_message(event, self.quality)  # first the viewer, then the file
            if self._video is not None:
                yield from self._attempt(lambda: self._video.write(event))
        elif isinstance(event, StreamEnded):
            if self._video is not None:
                yield from self._attempt(self._video.close)
            if event.chunks:
                self.files = Files(self._path)
            yield {**ended_message(event), "note": self.note}

    def _close(self) -> None:
        if self._video is not None:
            with suppress(OSError):
                self._video.close()

    def _open(self, started: RaceStarted) -> None:
        run = started.run
        self._path = self._folder / f"race-{file_name(run.prompt, run.seed)}"
        field = "; ".join(f"{runner.label}: {runner.settings}" for runner in started.runners)
        metadata = {"title": run.prompt[:200], "comment": f"race, seed {run.seed}; {field}; model {run.model}"}
        self._video = RaceVideo(self._path, VideoShape(run.height, run.width, run.fps), started.runners, metadata)

    def _attempt(self, write) -> Iterator[dict]:
        """Do it; what cannot be written is told once, and left out."""
        try:
            write()
        except (OSError, ValueError) as error:
            self._close()
            self._video, self._path = None, left_by(error)
            yield {"kind": "notice", "text": told("video file", error)}


def race_started_message(event: RaceStarted) -> dict:
    """What the page needs to know before the first round."""
    return {
        "kind": "started",
        **asdict(event.run),
        "grid": list(event.run.grid),
        "seed": str(event.run.seed),  # as text: JavaScript's numbers end at 2^53
        "runners": [{"label": one.label, "words": one.words, "settings": one.settings} for one in event.runners],
    }


def round_message(event: Round, quality: int = 0) -> dict:
    """Frames and numbers of every runner. Seconds are measured wall clock; `encode` is the time spent on the images.

    leader: a runner's number, see LEADER_RULE; verdict: in words. What is not known yet is None.
    """
    began = time.perf_counter()
    chunks = [lap.chunk for lap in event.laps]
    codec = Codec.of(*chunks[0].frames.shape[1:3], quality)
    frames = [[codec.encode(frame) for frame in chunk.frames] for chunk in chunks]
    encode = time.perf_counter() - began
    return {
        "kind": "round",
        "index": event.index,
        "first": chunks[0].first_frame,
        "prompt": chunks[0].prompt,
        "mime": codec.mime,
        "frames": frames,
        "encode": encode,
        "leader": event.leader,
        "verdict": event.verdict.words,
        "laps": [
            {
                "seconds": lap.seconds,
                "total": lap.total_seconds,
                "scenery": _known(lap.standing.scenery),
                "way": _known(lap.standing.way_back),
                "drift": _known(lap.standing.drift),
                "motion": _known(lap.standing.motion),
                "sink": _known(lap.standing.sink_mass),
                "bytes": lap.standing.cache_bytes,
            }
            for lap in event.laps
        ],
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
