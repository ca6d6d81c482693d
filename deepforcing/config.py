"""Frozen settings, validated when made. Everything is counted in latent frames unless a name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


class SettingsError(ValueError):
    """A setting, or a combination of settings, that cannot work. The message says which one and why."""


@dataclass(frozen=True)
class Geometry:
    """How a latent video is cut into tokens.

    rows, columns: token grid of one latent frame; chunk_frames: latent frames denoised together.
    """

    rows: int
    columns: int
    chunk_frames: int = 3

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.chunk_frames) < 1:
            raise SettingsError(f"a token grid needs at least one row, column and frame, not {self}")

    @property
    def tokens_per_frame(self) -> int:
        return self.rows * self.columns

    @property
    def tokens_per_chunk(self) -> int:
        return self.tokens_per_frame * self.chunk_frames


@dataclass(frozen=True)
class Sampling:
    """The few-step schedule of a distilled model (Self Forcing, arXiv 2506.08009, section 3).

    steps: un-shifted timesteps of 1000, highest first. shift: s of sigma' = s sigma / (1 + (s - 1) sigma).
    prediction: what the network outputs, `flow` (noise - x0) or `x0`.
    """

    steps: tuple[int, ...] = (1000, 750, 500, 250)
    shift: float = 5.0
    prediction: Literal["flow", "x0"] = "flow"

    def __post_init__(self) -> None:
        falling = list(self.steps) == sorted(set(self.steps), reverse=True)
        if not self.steps or not falling or not 0 < self.steps[-1] <= self.steps[0] <= 1000:
            raise SettingsError(f"steps must fall from at most 1000 to above 0, not {self.steps}")
        if self.shift <= 0:
            raise SettingsError(f"shift must be positive, not {self.shift}")
        if self.prediction not in ("flow", "x0"):
            raise SettingsError(f"prediction must be 'flow' or 'x0', not {self.prediction!r}")

    def thinned(self, count: int) -> Sampling:
        """The same schedule with so many of its steps, evenly chosen, the first and the last among them; of one step it
        is the first. Raises SettingsError unless there are as many."""
        most = len(self.steps)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= most:
            raise SettingsError(f"steps must be a whole number from 1 to {most}, which this model has, not {count!r}")
        gaps = max(1, count - 1)
        return replace(self, steps=tuple(self.steps[(2 * i * (most - 1) + gaps) // (2 * gaps)] for i in range(count)))


@dataclass(frozen=True)
class VideoShape:
    """Pixels of the decoded video; `space` pixels along a side, and `time` frames, are one latent."""

    height: int
    width: int
    fps: int = 16
    space: int = 8
    time: int = 4

    def frames(self, latent_frames: int) -> int:
        """Video frames in the first `latent_frames` latent frames: 1 + 4 (n - 1)."""
        return 1 + self.time * (latent_frames - 1) if latent_frames > 0 else 0

    def seconds(self, latent_frames: int) -> float:
        """How long the first `latent_frames` latent frames play."""
        return self.frames(latent_frames) / self.fps
