"""A run as one file: recorded from its events, read back into the same events, without a model and without torch.

A trace is a zip of three things:

    video.mp4                   as VideoWriter made it
    chunks/000000.safetensors   each chunk's cache state, compression with its scores, attention: see arrays.py
    trace.json                  model, seed, policy, settings, prompts over time, timings, gauges: see index.py

Nothing in it is executed or unpacked by its name, and all sizes have limits, so a trace from anywhere may be opened.
"""

from .fields import TraceError
from .reader import Trace, read_trace
from .writer import TraceWriter

__all__ = ["Trace", "TraceError", "TraceWriter", "read_trace"]
