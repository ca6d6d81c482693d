"""Deep Forcing: long video from a short-video model, without training, by managing its KV cache (arXiv 2512.05081)."""

from .compression import participative_compression
from .config import Geometry, Sampling, SettingsError, VideoShape
from .events import AttentionMass, CacheState, Chunk, Compression, Event, StreamEnded, StreamStarted, Timings
from .gauges import DriftMeter, Gauges, Jump
from .memory import describe
from .models.components import ModelError
from .models.fetch import Progress
from .models.released import Loading
from .models.sources import SOURCES, Source, readable
from .needs import Needs, get_ready, needs_of
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
    sliding_window_with_sinks,
)
from .probe import AttentionProbe
from .prompt import MAX_PROMPT_CHARACTERS, PromptError
from .rope import dynamic_temporal_rope
from .stream import VideoStream
from .switching import SWITCHES
from .timeline import Timeline, read_time, show_time
from .version import __version__
from .video_file import VideoWriter

__all__ = [
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
    "Pipeline",
    "Policy",
    "Progress",
    "PromptError",
    "Sampling",
    "SettingsError",
    "SlidingWindow",
    "Source",
    "StreamEnded",
    "StreamStarted",
    "Timeline",
    "Timings",
    "VideoShape",
    "VideoStream",
    "VideoWriter",
    "__version__",
    "choices_of",
    "describe",
    "dynamic_temporal_rope",
    "generate_long_video",
    "get_ready",
    "load_pipeline",
    "make_policy",
    "needs_of",
    "participative_compression",
    "read_time",
    "readable",
    "settings_of",
    "show_time",
    "sliding_window_with_sinks",
]
