"""Deep Forcing: long video from a short-video model, without training, by managing its KV cache (arXiv 2512.05081)."""

from .compression import participative_compression
from .config import Geometry, Sampling, SettingsError, VideoShape
from .events import AttentionMass, CacheState, Chunk, Compression, Event, StreamEnded, StreamStarted, Timings
from .models.components import ModelError
from .pipeline import MAX_PROMPT_CHARACTERS, Pipeline, PromptError, generate_long_video, load_pipeline
from .policies import (
    POLICIES,
    AttentionSink,
    DeepForcing,
    DeepSink,
    Policy,
    SlidingWindow,
    make_policy,
    settings_of,
    sliding_window_with_sinks,
)
from .probe import AttentionProbe
from .rope import dynamic_temporal_rope
from .stream import VideoStream
from .version import __version__
from .video_file import VideoWriter

__all__ = [
    "MAX_PROMPT_CHARACTERS",
    "POLICIES",
    "AttentionMass",
    "AttentionProbe",
    "AttentionSink",
    "CacheState",
    "Chunk",
    "Compression",
    "DeepForcing",
    "DeepSink",
    "Event",
    "Geometry",
    "ModelError",
    "Pipeline",
    "Policy",
    "PromptError",
    "Sampling",
    "SettingsError",
    "SlidingWindow",
    "StreamEnded",
    "StreamStarted",
    "Timings",
    "VideoShape",
    "VideoStream",
    "VideoWriter",
    "__version__",
    "dynamic_temporal_rope",
    "generate_long_video",
    "load_pipeline",
    "make_policy",
    "participative_compression",
    "settings_of",
    "sliding_window_with_sinks",
]
