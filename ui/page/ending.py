"""An orderly end: Ctrl-C and SIGTERM let runs finish their files and tell their pages."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import gradio as gr

SIGNS = (signal.SIGINT, signal.SIGTERM)
GRACE_SECONDS = 1  # that pages which are open can hold the server up


def serve_until_told(blocks: gr.Blocks, end: Callable[[], None]) -> None:
    """Wait, in the main thread, while a launched page serves; told to stop, call `end` and close. Told again meanwhile,
    the process ends at once."""
    told, before = threading.Event(), {sign: signal.getsignal(sign) for sign in SIGNS}

    def stop(*_) -> None:
        told.set()
        for sign, handler in before.items():
            signal.signal(sign, handler)

    for sign in SIGNS:
        signal.signal(sign, stop)
    while blocks.is_running and not told.wait(0.2):
        continue
    end()
    blocks.server.config.timeout_graceful_shutdown = GRACE_SECONDS
    blocks.close()
