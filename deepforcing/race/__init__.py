"""A race: policies or settings side by side on the same prompt, seed and noise, measured as they go."""

from .course import Lap, Round, race
from .runner import Runner, check_field, read_runner
from .standing import LEADER_RULE, Standing, leader
from .stream import RaceStarted, RaceStream
from .table import table
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
    "check_field",
    "leader",
    "race",
    "read_runner",
    "table",
]
