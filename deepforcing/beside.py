"""Work on a device beside all other, such as decoding beside the next chunk's denoising."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Ready = Callable[[], tuple[Tensor, ...]]  # waits for results, and gives them in main memory


class Beside:
    """Where work is begun that is waited for later. On CUDA that is a stream of its own, from which results are copied
    to main memory while the next work goes on; on a CPU the work is done at once."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def begin(self, work: Callable[..., tuple[Tensor, ...]], *given: Tensor) -> Ready:
        """Begin `work` of tensors that are complete, or will be in the stream that is current."""
        if self._stream is None:
            made = work(*given)
            return lambda: made
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            for x in given:
                x.record_stream(self._stream)  # whoever made it may let go of it before the work is done
            leaving = tuple(_leaving(x) for x in work(*given))
            return _arriving(leaving, self._stream.record_event())


def _leaving(x: Tensor) -> Tensor:
    """A copy in pinned memory, under way: only into that does a copy go on by itself."""
    return torch.empty(x.shape, dtype=x.dtype, pin_memory=True).copy_(x.contiguous(), non_blocking=True)


def _arriving(leaving: tuple[Tensor, ...], copied: torch.cuda.Event) -> Ready:
    def ready() -> tuple[Tensor, ...]:
        copied.synchronize()
        return tuple(x.clone() for x in leaving)  # pinned memory is rare, and results may be kept for long

    return ready
