"""What queries to come will attend to, by what queries have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..compression import importance
from ..rope import Rotation, rotate
from .base import CacheView, Selection
from .deep_sink import Phase
from .merging import Tokens, merged, most_alike
from .settings import number, whole
from .top_c import TopCByPast


@dataclass(frozen=True)
class FutureForcing(TopCByPast):
    """The queries of the future score the past (Luo et al., https://arxiv.org/abs/2605.30083).

    Queries before RoPE hardly change while a video goes on; what changes is where they stand. So their mean, for each
    head, over the past frames in `recent`, stands for the queries of frames that are not made yet: turned to each place
    of the next `horizon` frames and averaged, it is asked what it would attend to, by the same sum of products as Deep
    Forcing's. A token that is of no use now but will be can so be kept.

    A token that has to go is merged into the kept one of the middle whose key is most like its own, where their cosine
    is `alike` or more (1: never); the others are dropped. A merged token is made such that for the query of the future
    nothing changes, see `merging`: that is how the paper's words, pairs merge within the affine subspace that the
    future query induces, are read here.
    """

    name: ClassVar[str] = "future-forcing"
    summary: ClassVar[str] = "Of the middle, only the tokens that queries of the next frames will probably attend to."
    sink: int = 3
    phase: Phase = "contiguous"
    recent: int = 6
    horizon: int = 21
    alike: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("horizon", self.horizon, 1)
        number("alike", self.alike, 0, 1)

    def choose(self, view: CacheView) -> Selection:
        selection = super().choose(view)
        return selection if self.alike == 1 else replace(selection, contents=self._contents(view, selection))

    def _contents(self, view: CacheView, selection: Selection) -> tuple[Tensor, Tensor]:
        """Of all that stays, the chosen ones merged with what goes."""
        query, place, middle = self._query(view), self.place(view), self.middle(view)
        logits = torch.einsum("bnhd,bhd->bnh", view.keys(slice(None), place).float(), query)
        tokens = Tokens(view.unturned, view.values, logits)
        kept, lost = tokens.taken(selection.indices), tokens.part(middle)
        top = slice(middle.start, kept.keys.shape[1] - (view.frames.shape[1] - middle.stop))
        index = selection.indices[:, top]
        cosine, into = most_alike(
            lost.keys, kept.part(top).keys, None if selection.valid is None else selection.valid[:, top]
        )
        joins = (selection.candidates & ~selection.chosen)[:, middle] & (cosine >= self.alike)
        there = view.rotations(*(-at.gather(1, index) for at in (place, *view.cells.unbind(-1))))
        asked = rotate(query[:, None].expand(-1, index.shape[1], -1, -1), there)
        keys, values = merged(kept.part(top), lost, into, joins, asked, query.shape[-1] ** -0.5)
        return _replaced(kept.keys, top, keys), _replaced(kept.values, top, values)

    def scores(self, view: CacheView) -> Tensor:
        keys = view.keys(slice(None), self.place(view))
        return importance(keys, self._query(view))

    def _query(self, view: CacheView) -> Tensor:
        """That of the future, with RoPE: float32 [B, heads, head_dim]."""
        mean = view.unturned_queries(self.recent).mean(1, keepdim=True)
        return rotate(mean, self._places(view))[:, 0]

    def _places(self, view: CacheView) -> Rotation:
        """The mean turn of all places in the next `horizon` frames. Turning is linear, so it turns the mean."""
        g, device = view.geometry, view.frames.device
        axes = (torch.arange(size, device=device) for size in (self.horizon, g.rows, g.columns))
        time, row, column = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
        cos, sin = view.rotations(time, row, column)
        return cos.mean(0, keepdim=True), sin.mean(0, keepdim=True)


def _replaced(x: Tensor, part: slice, new: Tensor) -> Tensor:
    return torch.cat((x[:, : part.start], new, x[:, part.stop :]), 1)
