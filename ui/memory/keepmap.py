"""What the cache keeps, as a figure: every frame that the model can look back at, cut into its tokens."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from deepforcing import Chunk

from ..look.theme import INK, ROLE_COLOURS
from .figures import blank_figure

GONE, EVICTED = 0.93, 0.72  # darkness of tokens thrown away earlier, and for this chunk, as on the page
DARK = np.array([10, 14, 22])  # what a token that is gone looks like
CELL, EDGE, GAP, LINE = 84, 3, 8, 18  # pixels: of a cell's shorter side, its border, between cells, of its number
COLUMNS = 12
BLANK = 200  # grey of a frame without a picture


@dataclass(frozen=True)
class Cell:
    """A latent frame. kept, evicted: shares of the layers that hold, or threw away, each token [rows, columns]."""

    frame: int
    role: str
    kept: np.ndarray
    evicted: np.ndarray


def keep_figure(
    chunk: Chunk, pictures: dict[int, np.ndarray] | None = None, layer: int | None = None, theme: str = "light"
) -> go.Figure:
    """Bright tokens are kept, dark ones were thrown away; less dark, for this chunk. The border has the role's colour.

    pictures: of latent frames, uint8 [height, width, 3], see `pictures_of`. layer: from 0, None for the mean of all.
    """
    cells = cells_of(chunk, layer)
    tiles = [_tile(cell, (pictures or {}).get(cell.frame), theme) for cell in cells]
    sheet, corners = _sheet(tiles)
    figure = blank_figure(theme, "", "")
    figure.add_image(source=_png(sheet), hoverinfo="skip")
    for cell, (left, top), tile in zip(cells, corners, tiles, strict=True):
        share = f"{cell.role}: {cell.kept.mean():.0%} of its tokens in the cache"
        where = {"x": left + tile.shape[1] / 2, "y": top + tile.shape[0] + LINE / 2}
        figure.add_annotation(
            text=str(cell.frame), hovertext=share, showarrow=False, font={"size": 11, "color": INK[theme]}, **where
        )
    axis = {"visible": False, "constrain": "domain"}
    figure.update_xaxes(**axis)
    figure.update_yaxes(**axis, scaleanchor="x", autorange="reversed")
    figure.update_layout(margin={"l": 0, "r": 0, "t": 0, "b": 0}, height=max(120, round(0.65 * sheet.shape[0])))
    return figure


def cells_of(chunk: Chunk, layer: int | None = None) -> list[Cell]:
    """Oldest first: what is held, what lost tokens for this chunk, and the chunk's own frames, whole."""
    cache, fired, pick = chunk.cache, chunk.compression, slice(None) if layer is None else slice(layer, layer + 1)
    shape = cache.kept.shape[2:]
    kept = dict(zip(cache.frames.tolist(), cache.kept[pick].mean(0), strict=True))
    roles = dict(zip(cache.frames.tolist(), cache.roles, strict=True))
    lost = {}
    if fired is not None:
        lost = dict(zip(fired.frames.tolist(), (fired.candidate & ~fired.kept)[pick].mean(0), strict=True))
    for own in range(*chunk.latent_frames):
        kept[own], roles[own] = np.ones(shape), "current"
    none = np.zeros(shape)
    frames = sorted({*kept, *(frame for frame, share in lost.items() if share.any())})
    return [Cell(f, roles.get(f, "evicted"), kept.get(f, none), lost.get(f, none)) for f in frames]


def pictures_of(chunks: Iterable[Chunk], stride: int = 4) -> dict[int, np.ndarray]:
    """A picture of each latent frame, from the middle of its video frames. stride: see `StreamStarted`."""
    pictures = {}
    for chunk in chunks:
        for latent in range(*chunk.latent_frames):
            middle = 1 + stride * (latent - 1) + stride // 2 if latent else 0
            pictures[latent] = chunk.frames[min(middle - chunk.first_frame, len(chunk.frames) - 1)]
    return pictures


def _tile(cell: Cell, picture: np.ndarray | None, theme: str) -> np.ndarray:
    """uint8 [height, width, 3]: the picture, darkened token by token, in a border of the role's colour."""
    rows, columns = cell.kept.shape
    size = max(1, round(CELL / min(rows, columns)))
    if picture is None:
        picture = np.full((rows, columns, 3), BLANK, np.uint8)
    inside = np.asarray(Image.fromarray(picture).resize((columns * size, rows * size)), float)
    dark = np.clip(EVICTED * cell.evicted + GONE * np.maximum(0, 1 - cell.kept - cell.evicted), 0, 1)
    dark = dark.repeat(size, 0).repeat(size, 1)[..., None]
    colour = ROLE_COLOURS[theme][cell.role]
    tile = np.empty((rows * size + 2 * EDGE, columns * size + 2 * EDGE, 3), np.uint8)
    tile[:] = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    tile[EDGE:-EDGE, EDGE:-EDGE] = (1 - dark) * inside + dark * DARK
    return tile


def _sheet(tiles: list[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All tiles on one transparent sheet uint8 [height, width, 4], and the left top corner of each."""
    height, width = tiles[0].shape[0] + LINE + GAP, tiles[0].shape[1] + GAP
    columns = min(COLUMNS, len(tiles))
    sheet = np.zeros((-(-len(tiles) // columns) * height, columns * width, 4), np.uint8)
    corners = [(i % columns * width, i // columns * height) for i in range(len(tiles))]
    for tile, (left, top) in zip(tiles, corners, strict=True):
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = np.dstack(
            (tile, np.full(tile.shape[:2], 255, np.uint8))
        )
    return sheet, corners


def _png(sheet: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
