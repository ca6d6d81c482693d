"""The runners side by side in one video, each under its name and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..config import VideoShape
from ..video_file import VideoWriter
from .course import Lap, Round
from .runner import Runner

_LEAST_WIDTH = 320  # pixels of a runner's picture, so that the words above it can be read
_GAP, _HEAD = 8, 52  # pixels between pictures; of the words above one
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_LARGE, _SMALL = ImageFont.load_default(17), ImageFont.load_default(13)  # Pillow's own: no font of the system is needed
_GROUND, _INK, _SOFT = (16, 20, 30), (238, 242, 248), (160, 170, 188)
_COLOURS = ((0, 119, 187), (238, 119, 51), (0, 153, 136), (238, 51, 119))  # Tol's vibrant ones, told apart by all eyes


class RaceVideo:
    """Rounds in, one MP4 out: two or three runners beside each other, four in a square. As a context manager it closes
    the file. metadata: as for VideoWriter. Raises OSError when the file cannot be written.
    """

    def __init__(
        self, path: str | Path, shape: VideoShape, runners: Sequence[Runner], metadata: dict[str, str] | None = None
    ) -> None:
        self._scale = -(-_LEAST_WIDTH // shape.width)
        self._height, self._width = self._scale * shape.height, self._scale * shape.width
        self._runners, self._columns = tuple(runners), 2 if len(runners) == 4 else len(runners)
        down, across = _HEAD + self._height + _GAP, self._width + _GAP
        cells = [divmod(number, self._columns) for number in range(len(runners))]
        self._places = [(_GAP + across * column, _HEAD + down * row) for row, column in cells]
        rows = cells[-1][0] + 1
        self._shape = (rows * down, self._columns * across + _GAP)
        self._writer = VideoWriter(path, VideoShape(*self._shape, fps=shape.fps), metadata)

    def write(self, one: Round) -> None:
        """All frames of a round."""
        ground = self._ground(one)
        frames = np.repeat(ground[None], len(one.laps[0].chunk.frames), 0)
        for lap, (x, y) in zip(one.laps, self._places, strict=True):
            picture = lap.chunk.frames.repeat(self._scale, 1).repeat(self._scale, 2)
            frames[:, y : y + self._height, x : x + self._width] = picture
        self._writer.write(frames)

    def close(self) -> None:
        """Finish the file; harmless when called again."""
        self._writer.close()

    def __enter__(self) -> RaceVideo:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _ground(self, one: Round) -> np.ndarray:
        """What is around the pictures: uint8 [height, width, 3]."""
        height, width = self._shape
        image = Image.new("RGB", (width, height), _GROUND)
        draw = ImageDraw.Draw(image)
        for number, (runner, lap, (x, y)) in enumerate(zip(self._runners, one.laps, self._places, strict=True)):
            draw.rectangle((x, y - 4, x + self._width - 1, y - 1), _COLOURS[number])
            ahead = "  ahead" if number == one.leader else ""
            room = self._width - _length(draw, ahead, _LARGE)
            name = _shortened(draw, runner.label, _LARGE, room)
            draw.text((x, y - _HEAD + 6), name, _INK, _LARGE)
            draw.text((x + _length(draw, name, _LARGE), y - _HEAD + 6), ahead, _COLOURS[number], _LARGE)
            draw.text((x, y - _HEAD + 28), _shortened(draw, _numbers(lap), _SMALL, self._width), _SOFT, _SMALL)
        return np.asarray(image)


def _numbers(lap: Lap) -> str:
    parts = [f"{lap.total_fps:.1f} fps"]
    if not math.isnan(lap.standing.scenery):
        parts += [f"scenery {lap.standing.scenery:.2f}", f"motion x {lap.standing.motion:.2f}"]
    if not math.isnan(lap.standing.way_back):
        parts += [f"way back {lap.standing.way_back:.2f}"]
    return " · ".join(parts)


def _length(draw: ImageDraw.ImageDraw, text: str, font: Font) -> int:
    return math.ceil(draw.textlength(text, font))


def _shortened(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """As much of the text as fits into so many pixels."""
    if _length(draw, text, font) <= width:
        return text
    while text and _length(draw, text + "...", font) > width:
        text = text[:-1]
    return text + "..."
