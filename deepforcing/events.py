"""What a run tells its readers: typed, frozen, numpy only.

A stream is `StreamStarted`, then one `Chunk` after another, then exactly one `StreamEnded`. Where a run is told other
settings, a `SettingsChanged` stands before the first chunk that has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Timings:
    """Seconds spent on one chunk. `dit`: denoising and clean passes, probe included; `decode`: latents to frames."""

    dit: float
    decode: float


@dataclass(frozen=True)
class CacheState:
    """Which tokens each layer holds while a chunk is denoised, the chunk itself left out.

    Where heads keep tokens of their own, a layer holds what any of its heads holds.

    frames   int64 [F]                   latent frames of which at least one layer still holds a token, ascending
    kept     bool  [layers, F, rows, columns]
    roles    tuple of F of 'sink' | 'top-C' | 'recent'
    time     float32 [layers, F]         temporal position RoPE gives the frame's tokens (mean), 0 = first frame of
                                         the chunk in flight; NaN where the layer holds none, or reads none of them
    tokens   tokens held, summed over layers, by each head where they differ; bytes: memory of their keys and values
    origin   the video's latent frame with which this scene began: the cache was emptied then; 0 where it never was
    """

    frames: np.ndarray
    kept: np.ndarray
    roles: tuple[str, ...]
    time: np.ndarray
    tokens: int
    bytes: int
    origin: int = 0


@dataclass(frozen=True)
class Compression:
    """One firing of participative compression (arXiv 2512.05081, section 3.3), all layers.

    Where heads keep tokens of their own: kept by any of them, and the sum of their scores.

    frames     int64 [F]                           latent frames that had candidates, ascending
    candidate  bool [layers, F, rows, columns]     tokens that stood for selection
    kept       bool [layers, F, rows, columns]     candidates that were selected
    scores     float32 [layers, F, rows, columns]  what the policy scored, summed query-key products by default;
                                               NaN where there was no candidate
    """

    frames: np.ndarray
    candidate: np.ndarray
    kept: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class AttentionMass:
    """Where the sampled queries of a chunk looked, exact softmax over all keys; sums to 1 over frames.

    frames  int64 [F]                      attended latent frames, ascending, the chunk's own last
    roles   tuple of F of 'sink' | 'top-C' | 'recent' | 'current'
    mass    float32 [layers, heads, F]
    """

    frames: np.ndarray
    roles: tuple[str, ...]
    mass: np.ndarray

    @property
    def sink(self) -> float:
        """Mass on sink frames, mean over layers and heads, 0..1."""
        return float(self.mass[..., [role == "sink" for role in self.roles]].sum(-1).mean())


@dataclass(frozen=True)
class Chunk:
    """A finished chunk of video.

    index           0, 1, 2 ...
    first_frame     number of its first video frame in the whole video
    latent_frames   its latent frames, as (first, past the last)
    frames          uint8 [n, height, width, 3]
    prompt          the prompt it was made with
    cache           what the model could attend to besides the chunk itself
    compression     what was selected, where compression fired for this chunk
    attention       None when no probe is attached
    latents         float32 [frames, channels, height, width], what the decoder made the frames of; None where it was
                    not kept
    again           whether it was made before, and only passed through the network again, see `going_on`
    """

    index: int
    first_frame: int
    latent_frames: tuple[int, int]
    frames: np.ndarray = field(repr=False)
    prompt: str
    timings: Timings
    cache: CacheState = field(repr=False)
    compression: Compression | None = field(default=None, repr=False)
    attention: AttentionMass | None = field(default=None, repr=False)
    latents: np.ndarray | None = field(default=None, repr=False)
    again: bool = False


@dataclass(frozen=True)
class StreamStarted:
    """First event of a stream: what runs, with which settings, and how large everything is.

    weights         fingerprint of the model's weights, 16 hex digits
    settings        of the policy, plain JSON-able values
    attention       the attention kernel, for people to read
    stride          video frames of a latent frame; the very first has 1
    grid            rows and columns of tokens in a latent frame
    chunk_frames    latent frames denoised together
    layers, heads   of the transformer; heads of one layer
    switch          what becomes of the cache at a new prompt, see `switching`
    stale_prompt    a mistake made on purpose: the model is not told of a new prompt, see `generate_long_video`
    steps           denoising steps of a chunk; 0 where that was not recorded
    device          what computed it, for people to read: another gives another video for the same seed; empty where it
                    was not recorded
    """

    model: str
    weights: str
    prompt: str
    seed: int
    policy: str
    settings: dict
    attention: str
    fps: int
    height: int
    width: int
    stride: int
    grid: tuple[int, int]
    chunk_frames: int
    layers: int
    heads: int
    switch: str = "keep"
    stale_prompt: bool = False
    device: str = ""
    steps: int = 0


EndReason = Literal["finished", "stopped", "error"]


@dataclass(frozen=True)
class StreamEnded:
    """Last event of a stream, always sent, once. `error` is the exception's message, for a person to read."""

    reason: EndReason
    chunks: int
    error: str | None = None


@dataclass(frozen=True)
class SettingsChanged:
    """From a chunk on, a run has other settings; told before that chunk.

    chunk           number of the first chunk that is made with them
    before, after   of what changed, by name: settings of the policy, `probe`, `switch`, `steps`; `scene`, one more
                    where the cache was emptied; of another `policy` all settings, before only those that both have.
                    Plain JSON-able values
    """

    chunk: int
    before: dict
    after: dict

    @property
    def words(self) -> str:
        """Such as `new scene, sink 10 → 4`, for people to read."""
        return ", ".join(self._worded(name) for name in self.after if self.after[name] != self.before.get(name))

    def _worded(self, name: str) -> str:
        if name == "scene":
            return "new scene"
        was = f"{_shown(self.before[name])} → " if name in self.before else ""
        return f"{name} {was}{_shown(self.after[name])}"


def _shown(value: object) -> object:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Event = StreamStarted | SettingsChanged | Chunk | StreamEnded
