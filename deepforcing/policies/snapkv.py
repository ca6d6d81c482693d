"""What the latest queries attend to, with its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import avg_pool1d

from ..compression import attention_mass
from ..config import SettingsError
from .base import CacheView
from .deep_sink import Phase
from .settings import whole
from .top_c import Heads, TopCByPast


@dataclass(frozen=True)
class SnapKV(TopCByPast):
    """An observation window votes for what stays (Li et al., https://arxiv.org/abs/2404.14469).

    The clean queries of the past frames in `recent` are the observation window. Their softmax attention over all
    keys, summed over queries, is averaged over `kernel` neighbouring tokens in the order of the cache, so that what
    stays comes in pieces; every head keeps its own. SnapKV compresses a prompt once; here it is done whenever the
    window is full. Positions count within the cache.
    """

    name: ClassVar[str] = "snapkv"
    summary: ClassVar[str] = "What the last chunk's queries attend to stays, in pieces, for each head."
    sink: int = 0
    phase: Phase = "contiguous"
    recent: int = 6
    heads: Heads = "separate"
    kernel: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("kernel", self.kernel, 1)
        if self.kernel % 2 == 0:
            raise SettingsError(f"kernel must be odd, not {self.kernel}")

    def scores(self, view: CacheView) -> Tensor:
        keys = view.keys(slice(None), self.place(view))
        mass = attention_mass(keys, view.single_queries("past", self.recent), view.valid).sum(1)
        return avg_pool1d(mass, self.kernel, stride=1, padding=self.kernel // 2, count_include_pad=False)
