"""Cache policies: which cached tokens a chunk may attend to, and where in time they stand.

A policy *chooses* (which tokens stay in the cache when it is full, or a new prompt begins), says which of them are
*read*, usually all, and *places* these (their temporal position, counted from the first frame of the chunk in flight).
It holds settings and no state, so one object serves any number of runs. A new policy is one file here, with one frozen
dataclass that has a `name`; it appears in `POLICIES`.
"""

from .attention_sink import AttentionSink
from .base import CacheView, Policy, Selection, in_window_or_sink, kept_indices
from .deep_forcing import DeepForcing
from .deep_sink import DeepSink
from .registry import POLICIES, make_policy
from .self_forcing import SlidingWindow
from .settings import choices_of, read_setting, read_words, settings_of

__all__ = [
    "POLICIES",
    "AttentionSink",
    "CacheView",
    "DeepForcing",
    "DeepSink",
    "Policy",
    "Selection",
    "SlidingWindow",
    "choices_of",
    "in_window_or_sink",
    "kept_indices",
    "make_policy",
    "read_setting",
    "read_words",
    "settings_of",
]
