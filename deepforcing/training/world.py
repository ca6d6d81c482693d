"""Scenes of the tiny model's world: a caption and a seed give one clip, at any size, always the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepforcing.captions import Caption
from deepforcing.training.motion import FPS, Path, camera_path, subject_path, wander
from deepforcing.training.places import PLACES
from deepforcing.training.skies import LIGHTS, clouds, sky
from deepforcing.training.subjects import Look, sample_look, sprite

CLIP_FRAMES = 81


@dataclass(frozen=True)
class Plan:
    """All that moves in a clip, and what its subject looks like; arrays of one value a frame."""

    look: Look
    camera: np.ndarray  # frame heights
    wind: np.ndarray  # frame heights
    path: Path


def plan(caption: Caption, seed: int) -> tuple[Plan, np.random.Generator]:
    """The clip's plan, and the generator from which its scenery is drawn."""
    scene_rng, motion_rng = np.random.default_rng((seed, 1)), np.random.default_rng((seed, 2))
    look = sample_look(scene_rng, caption.colour)
    camera = camera_path(motion_rng, CLIP_FRAMES, caption.camera)
    gusts = np.cumsum(1 + 0.8 * wander(motion_rng, CLIP_FRAMES)) / FPS
    wind = 0.035 * gusts * motion_rng.choice((-1, 1))
    return Plan(look, camera, wind, subject_path(motion_rng, CLIP_FRAMES, caption.motion, look.radius)), scene_rng


def render(caption: Caption, seed: int, size: int = 96, frames: int = CLIP_FRAMES) -> np.ndarray:
    """A clip of the caption, uint8 [frames, size, size, 3] at 16 fps. `frames=1` is its first frame, much cheaper."""
    (clip_plan, rng), light = plan(caption, seed), LIGHTS[caption.time]
    camera, wind = clip_plan.camera[:frames], clip_plan.wind[:frames]
    heavens = sky(rng, light, size)
    layers = [clouds(rng, light, size, 0.08 * camera + wind)]
    layers += PLACES[caption.place](rng, light, size, camera, wind)
    clip = _background(heavens, layers, frames)
    _place(clip, caption.subject, clip_plan.look, clip_plan.path, 0.88 if caption.time == "night" else 1.0)
    return np.clip(clip * 255 + 0.5, 0, 255).astype(np.uint8)


def subject_region(caption: Caption, seed: int, size: int, frames: int = CLIP_FRAMES) -> np.ndarray:
    """Where the subject is, on a coarse grid: bool [frames, size, size], a disc a little larger than the subject."""
    clip_plan, _ = plan(caption, seed)
    grid = (np.arange(size) + 0.5) / size
    x, y = (value[:frames, None, None] for value in (clip_plan.path.x, clip_plan.path.y))
    return np.hypot(grid[None, None, :] - x, grid[None, :, None] - y) < 1.2 * clip_plan.look.radius


def _background(sky: np.ndarray, layers, frames: int) -> np.ndarray:
    clip = np.empty((frames, *sky.shape), np.float32)
    for index, frame in enumerate(clip):
        frame[:] = sky
        for layer in layers:
            layer.over(frame, index)
    return clip


def _place(clip: np.ndarray, subject: str, look, path, brightness: float) -> None:
    """Lay the subject over the clip [T, H, W, 3], cut at the frame's edges."""
    size, frames = clip.shape[1], len(clip)
    path = type(path)(*(getattr(path, name)[:frames] for name in path.__dataclass_fields__))
    planes, tops, lefts = sprite(subject, look, path, size)
    planes = planes.transpose(1, 2, 3, 0)
    side = planes.shape[1]
    for frame, image, top, left in zip(clip, planes, tops, lefts, strict=True):
        r0, r1, c0, c1 = max(0, top), min(size, top + side), max(0, left), min(size, left + side)
        if r0 < r1 and c0 < c1:
            part = image[r0 - top : r1 - top, c0 - left : c1 - left]
            frame[r0:r1, c0:c1] = frame[r0:r1, c0:c1] * (1 - part[..., 3:]) + brightness * part[..., :3]
