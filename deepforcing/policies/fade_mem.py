"""Dense near, merged far."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from ..config import Geometry, SettingsError
from .base import CacheView, Selection
from .self_forcing import SlidingWindow
from .settings import number, whole


@dataclass(frozen=True)
class FadeMem(SlidingWindow):
    """Memory that fades with distance (Lu et al., https://arxiv.org/abs/2606.10671).

    Details of a picture are soon out of date, what it shows and where stays true for long. So nothing is thrown away:
    when the window is full, entries next to each other become one, the mean of their keys (before RoPE) and of their
    values, place by place, weighted by the frames that they stand for. An entry at a distance of d frames may stand for
    about d ** `power` of them; it is always the pair that is furthest below this that merges, never one of the latest
    `dense` frames. At power 0 all entries grow alike, at 1 each stands for a fixed share of the time since.

    An entry stands in the middle of its frames, at a fraction of a frame where that is so; the whole past is drawn
    together as far as is needed for the first of them not to stand further back than the window reaches. How entries
    grow with distance is a reading of the paper's words.
    """

    name: ClassVar[str] = "fade-mem"
    summary: ClassVar[str] = "Nothing is forgotten: what is long ago is merged, the more the longer ago it is."
    dense: int = 6
    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("dense", self.dense, 1)
        number("power", self.power, 0, 4)

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.dense + geometry.chunk_frames + 1 > self.window:
            raise SettingsError(
                f"dense {self.dense} and a chunk of {geometry.chunk_frames} frames leave nothing of a window of "
                f"{self.window} to be merged"
            )

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return 0 if fired_at is None else fired_at - self.dense

    def whole_from(self, next_frame: int, geometry: Geometry) -> int:
        return next_frame  # entries are whole, whatever they stand for

    def choose(self, view: CacheView) -> Selection:
        first = view.frames[0, :: view.geometry.tokens_per_frame].tolist()  # of each entry's frames
        groups = self._merged(first, view.next_frame, self.window - view.geometry.chunk_frames)
        index = torch.tensor([group[0] for group in groups], device=view.frames.device)
        size = view.geometry.tokens_per_frame
        tokens = (index[:, None] * size + torch.arange(size, device=index.device)).flatten()
        frames = _lengths(first, view.next_frame)
        keys, values = (_means(x, groups, frames, size) for x in (view.unturned, view.values))
        return Selection(tokens.expand(len(view.frames), -1), contents=(keys, values))

    def _merged(self, first: list[int], now: int, room: int) -> list[list[int]]:
        """Entries, given by the first of their frames, in groups that become one: `room` of them, or all."""
        groups = [[number] for number in range(len(first))]
        ends = [*first[1:], now]
        while len(groups) > room:
            pairs = [(a, b) for a, b in pairwise(groups) if ends[b[-1]] <= now - self.dense]
            if not pairs:  # the window is smaller than a moment ago
                return groups[len(groups) - room :]
            one, other = min(pairs, key=lambda pair: self._fullness(first[pair[0][0]], ends[pair[1][-1]], now))
            groups.remove(other)
            one += other
        return groups

    def _fullness(self, first: int, end: int, now: int) -> float:
        """Frames of an entry, in terms of those that it may stand for at its distance."""
        return (end - first) / (now - end + 1) ** self.power

    def place(self, view: CacheView) -> Tensor:
        size = view.geometry.tokens_per_frame
        first = view.frames[:, ::size]
        end = torch.cat((first[:, 1:], torch.full_like(first[:, :1], view.next_frame)), 1)
        time = (first + end - 1) / 2 - view.next_frame  # [B, entries]
        reach = self.window - view.geometry.chunk_frames
        return self._drawn_together(time, reach).repeat_interleave(size, 1)

    def _drawn_together(self, time: Tensor, reach: int) -> Tensor:
        """Times before the latest frames, scaled so that none is further back than `reach`."""
        near = -float(self.dense)
        far = time[:, :1].clamp(max=near - 1)
        scale = ((reach - self.dense) / (near - far)).clamp(max=1)
        return torch.where(time < near, near + (time - near) * scale, time)


def _lengths(first: list[int], now: int) -> list[int]:
    """How many frames each entry stands for."""
    return [end - begin for begin, end in pairwise([*first, now])]


def _means(x: Tensor, groups: list[list[int]], frames: list[int], size: int) -> Tensor:
    """Tokens [B, entries * size, ...] -> each group's weighted mean, [B, groups * size, ...]; of one, itself."""
    entries = x.unflatten(1, (-1, size))
    return torch.cat([_mean(entries[:, group], [frames[number] for number in group]) for group in groups], 1)


def _mean(entries: Tensor, frames: list[int]) -> Tensor:
    """[B, k, size, ...] -> [B, size, ...]."""
    if len(frames) == 1:
        return entries[:, 0]
    share = torch.tensor(frames, device=entries.device) / sum(frames)
    return torch.einsum("k,bk...->b...", share, entries.float()).to(entries.dtype)
