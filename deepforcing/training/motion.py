"""How subjects and cameras move: named motions around which path, speed and rhythm wander, so that time is no clock.

All subjects look to the right, and drift there. Nothing in a caption says which way, and a model that has to choose at
its noisiest step draws both: a bird with a head at either end, a boat that trembles where it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FPS = 16


@dataclass(frozen=True)
class Path:
    """A subject's way through the frame; arrays of one value a frame, positions in frame heights, angles in radians."""

    x: np.ndarray
    y: np.ndarray
    tilt: np.ndarray
    phase: np.ndarray  # wings, tails, wheels: radians


def wander(rng, frames: int, slow: float = 0.08, fast: float = 0.6) -> np.ndarray:
    """Smooth noise of about unit variance: four sinusoids of random frequency (Hz) and phase."""
    seconds = np.arange(frames) / FPS
    frequency = rng.uniform(slow, fast, 4)
    return np.sin(2 * np.pi * frequency[:, None] * seconds + rng.uniform(0, 2 * np.pi, (4, 1))).sum(0) / np.sqrt(2)


def progress(rng, frames: int) -> np.ndarray:
    """Seconds of motion done by each frame: the pace wanders between a pause and double speed. [frames], from 0."""
    pace = np.clip(1 + 0.85 * wander(rng, frames), 0, 2.2)
    return np.concatenate([[0.0], np.cumsum(pace[1:])]) / FPS


def _wrap(position: np.ndarray, margin: float) -> np.ndarray:
    """Leave the frame on one side and return on the other."""
    return (position + margin) % (1 + 2 * margin) - margin


def camera_path(rng, frames: int, camera: str) -> np.ndarray:
    """How far the camera has moved to the right by each frame, in frame heights."""
    if camera == "still":
        return np.zeros(frames)
    return rng.uniform(0.14, 0.3) * progress(rng, frames) * (1 if camera == "right" else -1)


def subject_path(rng, frames: int, motion: str, radius: float) -> Path:
    """One clip's path for the named motion and a subject of this radius (frame heights)."""
    way, turning = progress(rng, frames), rng.choice((-1.0, 1.0))
    x = np.full(frames, rng.uniform(0.38, 0.62))
    y = np.full(frames, rng.uniform(0.34, 0.56))
    ripple_x, ripple_y = 0.03 * wander(rng, frames), 0.03 * wander(rng, frames)
    tilt, margin = 0.1 * wander(rng, frames), 1.25 * radius
    if motion == "drifting":
        x, y = _wrap(x + rng.uniform(0.14, 0.34) * way, margin), y + ripple_y
    elif motion == "rising":
        x, y = x + ripple_x, _wrap(y - rng.uniform(0.12, 0.32) * way, margin)
    elif motion == "falling":
        x, y = x + 2 * ripple_x, _wrap(y + rng.uniform(0.12, 0.32) * way, margin)
        tilt = 2 * tilt
    elif motion == "bouncing":
        turn = np.pi * rng.uniform(0.5, 0.85) * way + rng.uniform(0, np.pi)
        height = rng.uniform(0.24, 0.4) * (1 + 0.2 * wander(rng, frames))
        x, y = x + 0.12 * (wander(rng, frames, fast=0.3)), 0.74 - height * np.abs(np.sin(turn))
    elif motion == "circling":
        turn = turning * 2 * np.pi * rng.uniform(0.17, 0.36) * way + rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.15, 0.24) * (1 + 0.12 * wander(rng, frames))
        x, y = 0.5 + (x - 0.5) / 2 + reach * np.cos(turn), y + reach * np.sin(turn)
    else:  # swaying: hangs from above and swings
        turn = 2 * np.pi * rng.uniform(0.17, 0.36) * way + rng.uniform(0, 2 * np.pi)
        swing = rng.uniform(0.3, 0.55) * (1 + 0.15 * wander(rng, frames)) * np.sin(turn)
        x, y, tilt = x + 0.45 * np.sin(swing), y + 0.45 * (np.cos(swing) - 1), -0.9 * swing
    phase = 2 * np.pi * rng.uniform(0.6, 1.1) * progress(rng, frames) + rng.uniform(0, 2 * np.pi)
    return Path(x, y, tilt, phase)
