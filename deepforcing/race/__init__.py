"""A race: policies or settings side by side on the same prompt, seed and noise, measured as they go."""

from .course import Lap, Round, race
from .runner import Runner, check_field, read_runner
from .standing import Standing
from .stream import RaceStarted, RaceStream
from .table import table
from .verdict import LEADER_RULE, Verdict, judge
from .video import RaceVideo

__all__ = [
    "LEADER_RULE",
    "Lap",
    "RaceStarted",
    "RaceStream",
    "RaceVideo",
    "Round",
    "Runner",
    "Standing",
    "Verdict",
    "check_field",
    "judge",
    "race",
    "read_runner",
    "table",
]
