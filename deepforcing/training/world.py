"""Scenes of the tiny model's world: a caption and a seed give one clip, at any size, always the same."""

from __future__ import annotations

import numpy as np

from deepforcing.captions import Caption
from deepforcing.training import scenery
from deepforcing.training.motion import camera_path, subject_path, wander
from deepforcing.training.subjects import sample_look, sprite

CLIP_FRAMES = 81


def render(caption: Caption, seed: int, size: int = 96, frames: int = CLIP_FRAMES) -> np.ndarray:
    """A clip of the caption, uint8 [frames, size, size, 3] at 16 fps. `frames=1` is its first frame, much cheaper."""
    scene_rng, motion_rng = np.random.default_rng((seed, 1)), np.random.default_rng((seed, 2))
    light = scenery.LIGHTS[caption.time]
    look = sample_look(scene_rng, caption.colour)
    camera = camera_path(motion_rng, CLIP_FRAMES, caption.camera)[:frames]
    wind = 0.035 * np.cumsum(1 + 0.8 * wander(motion_rng, CLIP_FRAMES))[:frames] / 16 * motion_rng.choice((-1, 1))
    path = subject_path(motion_rng, CLIP_FRAMES, caption.motion, look.radius)
    sky = scenery.sky(scene_rng, light, size)
    layers = [scenery.clouds(scene_rng, light, size, 0.08 * camera + wind)]
    layers += scenery.PLACES[caption.place](scene_rng, light, size, camera, wind)
    clip = _background(sky, layers, frames)
    _place(clip, caption.subject, look, path, 0.88 if caption.time == "night" else 1.0)
    return np.clip(clip * 255 + 0.5, 0, 255).astype(np.uint8)


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
