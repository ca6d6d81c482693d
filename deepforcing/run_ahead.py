"""Run an iterator ahead in a thread, one item in hand; on CUDA in a stream of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import nullcontext
from typing import TypeVar

import torch

Item = TypeVar("Item")
_POLL_SECONDS = 0.1


def run_ahead(source: Generator[Item], device: torch.device) -> Generator[Item]:
    """Yield what `source` yields, computed while the reader still works on the item before.

    Errors of the source are raised here; closing this iterator stops the thread and closes the source. The source
    must have finished its device work on an item when it yields it.
    """
    items: queue.Queue = queue.Queue(maxsize=1)
    closed = threading.Event()
    worker = threading.Thread(
        target=_produce, args=(source, device, items, closed), name="deepforcing-ahead", daemon=True
    )
    worker.start()
    try:
        while True:
            item, error = items.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        closed.set()
        worker.join()


def _produce(source: Generator, device: torch.device, items: queue.Queue, closed: threading.Event) -> None:
    stream = torch.cuda.stream(torch.cuda.Stream(device)) if device.type == "cuda" else nullcontext()
    last: tuple[None, BaseException | None] = (None, None)
    try:
        with stream:
            for item in source:
                if not _put(items, (item, None), closed):
                    break
    except BaseException as error:  # carried to the reader, whatever it is
        last = (None, error)
    finally:
        source.close()
        _put(items, last, closed)


def _put(items: queue.Queue, item: tuple, closed: threading.Event) -> bool:
    while not closed.is_set():
        try:
            items.put(item, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False
