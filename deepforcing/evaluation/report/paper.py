"""What the paper found (arXiv 2512.05081), as data that measurements can be held against; and this project's aims.

The paper rates with VBench-Long. Its overall consistency stands beside subject retention here, imaging quality beside
sharpness, motion smoothness beside chunk jump: the nearest that a small model's flat scenes have. Directions can be
compared, numbers cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from ...policies import AttentionSink, DeepForcing, DeepSink, Policy, SlidingWindow


@dataclass(frozen=True)
class Claim:
    """At the end of a long video a quantity is higher under one policy than under another.

    says: in a few words; found: the paper's numbers for it, or where it shows it without numbers.
    """

    experiment: str
    says: str
    found: str
    quantity: str
    higher: Policy
    lower: Policy


@dataclass(frozen=True)
class Term:
    """weight x a quantity's value under a policy, in the first or the last window."""

    weight: float
    policy: Policy
    first: bool = False


@dataclass(frozen=True)
class Aim:
    """Met where the weighted sum of the terms + constant is not below 0; strict: above it."""

    experiment: str
    says: str
    quantity: str
    terms: tuple[Term, ...]
    constant: float = 0.0
    strict: bool = False


_SELF, _SINK, _DEEP_SINK, _DEEP = SlidingWindow(), AttentionSink(), DeepSink(), DeepForcing()
_RANDOM = DeepForcing(score="random")


def _over_self_forcing() -> tuple[Claim, ...]:
    return (
        Claim(
            "policies",
            "Deep Forcing keeps to the prompt longer than Self Forcing",
            "overall consistency 20.38 against 18.63 at 60 s",
            "subject",
            _DEEP,
            _SELF,
        ),
        Claim("policies", "Its colours drift less", "in words and pictures", "colour_drift", _SELF, _DEEP),
        Claim(
            "policies",
            "Its picture stays better",
            "imaging quality 69.27 against 66.33 at 60 s",
            "sharpness",
            _DEEP,
            _SELF,
        ),
        Claim(
            "policies",
            "It moves more",
            "dynamic degree 57.19 against 31.98 at 60 s",
            "dynamic_degree",
            _DEEP,
            _SELF,
        ),
    )


def _parts() -> tuple[Claim, ...]:
    """What Deep Sink and compression each bring (Table 4, Appendix A)."""
    return (
        Claim(
            "policies",
            "Deep Sink alone moves more than Self Forcing",
            "dynamic degree 48.58 against 36.62 at 30 s",
            "dynamic_degree",
            _DEEP_SINK,
            _SELF,
        ),
        Claim(
            "policies",
            "Compression adds motion to Deep Sink",
            "dynamic degree 57.56 against 48.58 at 30 s",
            "dynamic_degree",
            _DEEP,
            _DEEP_SINK,
        ),
        Claim(
            "policies",
            "Three sink frames with their phase untouched drift more than ten that move along",
            "Appendix A, without numbers",
            "colour_drift",
            _SINK,
            _DEEP_SINK,
        ),
    )


def _left_behind(kind: type[DeepSink]) -> tuple[Claim, ...]:
    """A sink whose phase stays where it was (section 3.2)."""
    still, moved, who = kind(phase="none"), kind(), f"With its sink left behind, {kind.name}"
    return (
        Claim("phase", f"{who} flickers", "section 3.2, in words", "chunk_jump", still, moved),
        Claim("phase", f"{who} rolls back to it", "section 3.2, in words", "sink_reset", still, moved),
        Claim("phase", f"{who} loses fidelity", "section 3.2, in words", "subject", moved, still),
    )


def _both_over(other: str, smoothness: float, consistency: float, quality: float) -> tuple[Claim, ...]:
    """Table 5, at 30 s."""
    alone, than = DeepForcing(queries=other), f"than {other} queries alone"
    smooth, consistent, good = (
        f"motion smoothness 98.27 against {smoothness:.2f}",
        f"overall consistency 20.54 against {consistency:.2f}",
        f"imaging quality 69.31 against {quality:.2f}",
    )
    return (
        Claim("queries", f"Both are smoother {than}", smooth, "chunk_jump", alone, _DEEP),
        Claim("queries", f"Both keep to the prompt better {than}", consistent, "subject", _DEEP, alone),
        Claim("queries", f"Both draw better {than}", good, "sharpness", _DEEP, alone),
    )


def _scenery() -> tuple[Claim, ...]:
    """What the paper shows in pictures of scenes, read as claims about what stands still."""
    left, words = DeepForcing(phase="none"), "in words and pictures"
    return (
        Claim(
            "scenery",
            "Deep Forcing keeps what a sliding window loses",
            f"section 3.1, {words}",
            "scenery",
            _DEEP,
            _SELF,
        ),
        Claim("scenery", "Deep Sink alone does so too", "Fig. 5, in pictures", "scenery", _DEEP_SINK, _SELF),
        Claim("scenery", "Ten sink frames keep more than three", "Appendix A, in words", "scenery", _DEEP_SINK, _SINK),
        Claim("scenery", "A sink left behind keeps less", "section 3.2, in words", "scenery", _DEEP, left),
        Claim("scenery", "A random choice keeps less", "Fig. 12, in pictures", "scenery", _DEEP, _RANDOM),
    )


def _rolls_back(kind: type[DeepSink]) -> tuple[Claim, ...]:
    """What the paper says of a sink whose phase stays where it was, after a change of prompt."""
    still, moved, who = kind(phase="none"), kind(), f"With its sink left behind, {kind.name}"
    return (
        Claim("switch", f"{who} rolls back", "section 3.2, in words", "roll_backs", still, moved),
        Claim("switch", f"{who} goes back further", "section 3.2, in words", "old_scene", still, moved),
        Claim("switch", f"{who} keeps less to the new prompt", "section 3.2, in words", "new_place", moved, still),
    )


def _second_scene() -> tuple[Claim, ...]:
    """What chosen tokens are for, asked of a scene that the sink does not know."""
    words = "Fig. 12, in pictures, of one scene"
    others = (
        ("a random middle", _RANDOM),
        ("the newest", DeepForcing(score="newest")),
        ("the oldest", DeepForcing(score="oldest")),
        ("Deep Sink alone", _DEEP_SINK),
        ("a sliding window", _SELF),
    )
    return tuple(
        Claim("second-scene", f"The chosen middle keeps more than {name}", words, "second_scene", _DEEP, other)
        for name, other in others
    )


def _anchored(experiment: str, quantity: str, what: str) -> tuple[Claim, ...]:
    """What follows from first frames that anchor what is seen later."""
    return tuple(
        Claim(
            experiment,
            f"{what} under {policy.name}, more than under self-forcing",
            "section 3.1, by inference",
            quantity,
            policy,
            _SELF,
        )
        for policy in (_DEEP_SINK, _DEEP)
    )


CLAIMS = (
    *_over_self_forcing(),
    *_parts(),
    *_scenery(),
    *_rolls_back(DeepSink),
    *_rolls_back(DeepForcing),
    *_second_scene(),
    *_anchored("reappear", "shade", "The subject comes back as it was"),
    *_anchored("revisit", "seen", "The beginning is seen again"),
    *_left_behind(DeepSink),
    *_left_behind(DeepForcing),
    Claim("score", "A random choice breaks subjects", "Fig. 12, in pictures", "subject", _DEEP, _RANDOM),
    Claim("score", "A random choice breaks the context", "Fig. 12, in pictures", "place", _DEEP, _RANDOM),
    *_both_over("past", 97.91, 20.47, 68.54),
    *_both_over("current", 97.86, 20.44, 68.24),
    Claim("depth", "No sink drifts more than ten frames", "Fig. 5, 10", "colour_drift", _SELF, _DEEP_SINK),
    Claim("depth", "Four still drift more than ten", "Fig. 5, 10", "colour_drift", DeepSink(sink=4), _DEEP_SINK),
    Claim("depth", "Eighteen repeat early frames", "Fig. 5, 10", "sink_reset", DeepSink(sink=18), _DEEP_SINK),
)

OTHERS = MappingProxyType(
    {
        "policies": "Others who ran Deep Forcing again: the table of Pyramid Forcing has Self Forcing at 80.57 / 77.87 "
        "and Deep Forcing at 80.59 / 80.08 (VBench-Long total, 30 s / 60 s), with a dynamic degree of 43.1; that of "
        "Recency Forcing has it at 82.14 with 56.0. So the gain is one at length, and dynamic degree depends on who "
        "rates it.",
    }
)


def _jumps(kind: type[DeepSink]) -> Aim:
    terms = (Term(1, kind(phase="none")), Term(-1, kind()))
    return Aim("phase", f"{kind.name} with phase none jumps more than with released", "chunk_jump", terms, strict=True)


AIMS = (
    Aim(
        "policies",
        "deep-forcing keeps subject retention within 5 points of its value at 5 s",
        "subject",
        (Term(1, _DEEP), Term(-1, _DEEP, first=True)),
        constant=0.05,
    ),
    Aim(
        "policies",
        "deep-forcing is at least 25 points of subject retention above self-forcing",
        "subject",
        (Term(1, _DEEP), Term(-1, _SELF)),
        constant=-0.25,
    ),
    Aim(
        "policies",
        "deep-forcing has at most half of self-forcing's colour drift",
        "colour_drift",
        (Term(0.5, _SELF), Term(-1, _DEEP)),
    ),
    Aim(
        "policies",
        "deep-forcing has no less dynamic degree than self-forcing at 5 s",
        "dynamic_degree",
        (Term(1, _DEEP), Term(-1, _SELF, first=True)),
    ),
    _jumps(DeepSink),
    _jumps(DeepForcing),
    Aim(
        "score",
        "random choice keeps subjects worse than scored",
        "subject",
        (Term(1, _DEEP), Term(-1, _RANDOM)),
        strict=True,
    ),
)
