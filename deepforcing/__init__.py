"""Deep Forcing: long video from a short-video model, without training, by managing its KV cache (arXiv 2512.05081).

The public names. What needs torch is imported when it is first asked for, so that traces open without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .config import Geometry, Sampling, SettingsError, VideoShape
from .events import (
    AttentionMass,
    CacheState,
    Chunk,
    Compression,
    Event,
    SettingsChanged,
    StreamEnded,
    StreamStarted,
    Timings,
)
from .gauges import DriftMeter, Gauges, Jump
from .going_on import Past
from .opening import LEAST_LIKENESS, likeness, opening_frames
from .prompt import MAX_PROMPT_CHARACTERS, PromptError, told_unread
from .proxies import mind_proxies
from .timeline import Timeline, read_span, read_time, show_time
from .trace import Trace, TraceError, TraceWriter, read_trace
from .turns import Turn, Turns
from .version import __version__
from .video_file import VideoError, VideoWriter, rewrite_metadata

if TYPE_CHECKING:
    from .memory import describe
    from .method import dynamic_temporal_rope, participative_compression, sliding_window_with_sinks
    from .models.ahead import TensorBlock, export_block, tensor_blocks
    from .models.components import ModelError, device_for
    from .models.fetch import Progress
    from .models.loading import Loading
    from .models.sources import SOURCES, Source, readable
    from .models.speed import use_attention
    from .models.tiny import is_tiny
    from .needs import Needs, get_ready, needs_of, own_policy
    from .options import add_loading, loading_from
    from .pipeline import Pipeline, generate_long_video, load_pipeline
    from .policies import (
        POLICIES,
        AttentionSink,
        DeepForcing,
        DeepSink,
        Policy,
        SlidingWindow,
        choices_of,
        make_policy,
        settings_of,
    )
    from .probe import AttentionProbe
    from .race import (
        LEADER_RULE,
        RaceStarted,
        RaceStream,
        RaceVideo,
        Round,
        Runner,
        check_field,
        read_runner,
    )
    from .stream import VideoStream
    from .switching import SWITCHES
    from .training.world import render

_LATER = {
    "memory": "describe",
    "method": "dynamic_temporal_rope participative_compression sliding_window_with_sinks",
    "models.ahead": "TensorBlock export_block tensor_blocks",
    "models.components": "ModelError device_for",
    "models.fetch": "Progress",
    "models.loading": "Loading",
    "models.sources": "SOURCES Source readable",
    "models.speed": "use_attention",
    "models.tiny": "is_tiny",
    "needs": "Needs get_ready needs_of own_policy",
    "options": "add_loading loading_from",
    "pipeline": "Pipeline generate_long_video load_pipeline",
    "policies": "POLICIES AttentionSink DeepForcing DeepSink Policy SlidingWindow choices_of make_policy settings_of",
    "probe": "AttentionProbe",
    "race": "LEADER_RULE RaceStarted RaceStream RaceVideo Round Runner check_field read_runner",
    "stream": "VideoStream",
    "switching": "SWITCHES",
    "training.world": "render",
}
_MODULES = {name: module for module, names in _LATER.items() for name in names.split()}

__all__ = [
    "LEADER_RULE",
    "LEAST_LIKENESS",
    "MAX_PROMPT_CHARACTERS",
    "POLICIES",
    "SOURCES",
    "SWITCHES",
    "AttentionMass",
    "AttentionProbe",
    "AttentionSink",
    "CacheState",
    "Chunk",
    "Compression",
    "DeepForcing",
    "DeepSink",
    "DriftMeter",
    "Event",
    "Gauges",
    "Geometry",
    "Jump",
    "Loading",
    "ModelError",
    "Needs",
    "Past",
    "Pipeline",
    "Policy",
    "Progress",
    "PromptError",
    "RaceStarted",
    "RaceStream",
    "RaceVideo",
    "Round",
    "Runner",
    "Sampling",
    "SettingsChanged",
    "SettingsError",
    "SlidingWindow",
    "Source",
    "StreamEnded",
    "StreamStarted",
    "TensorBlock",
    "Timeline",
    "Timings",
    "Trace",
    "TraceError",
    "TraceWriter",
    "Turn",
    "Turns",
    "VideoError",
    "VideoShape",
    "VideoStream",
    "VideoWriter",
    "__version__",
    "add_loading",
    "check_field",
    "choices_of",
    "describe",
    "device_for",
    "dynamic_temporal_rope",
    "export_block",
    "generate_long_video",
    "get_ready",
    "is_tiny",
    "likeness",
    "load_pipeline",
    "loading_from",
    "make_policy",
    "mind_proxies",
    "needs_of",
    "opening_frames",
    "own_policy",
    "participative_compression",
    "read_runner",
    "read_span",
    "read_time",
    "read_trace",
    "readable",
    "render",
    "rewrite_metadata",
    "settings_of",
    "show_time",
    "sliding_window_with_sinks",
    "tensor_blocks",
    "told_unread",
    "use_attention",
]


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)


def __dir__() -> list[str]:
    return __all__
