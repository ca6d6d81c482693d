"""What is compared with what, and what the paper found there (arXiv 2512.05081)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from ..config import SettingsError
from ..policies import AttentionSink, DeepForcing, DeepSink, Policy, SlidingWindow, make_policy, settings_of


@dataclass(frozen=True)
class Experiment:
    """One question. policies: what is run for it, in the order of its plot; none where attention itself is studied.

    others: run beside them, and told in a table of their own; in no plot and no finding.

    seeds, prompts: how many of the evaluation's it takes part in, None for all. table: where its results are, see
    `Evaluation`; policies that share one are run together. paper: where it is, and what was found there.
    """

    name: str
    question: str
    paper: str
    policies: tuple[Policy, ...] = ()
    others: tuple[Policy, ...] = ()
    seeds: int | None = None
    prompts: int | None = None
    table: str = "readings"

    def beside(self, policies: Iterable[Policy]) -> Experiment:
        """The same with these policies beside, where it compares any."""
        more = tuple(dict.fromkeys((*self.others, *(policy for policy in policies if policy not in self.policies))))
        return replace(self, others=more) if self.policies else self

    @property
    def everyone(self) -> tuple[Policy, ...]:
        """All that is run for it."""
        return (*self.policies, *self.others)

    def takes(self, prompt: int, seed: int) -> bool:
        """Whether it asks for videos of this prompt with this seed."""
        return (self.seeds is None or seed < self.seeds) and (self.prompts is None or prompt < self.prompts)


# Of papers that came after this one.
NEXT = tuple(map(make_policy, ("decoprune", "fade-mem", "future-forcing", "id-forcing", "tether-cache")))
DEPTHS = (0, 2, 4, 6, 8, 10, 12, 14, 16, 18)


def at_depth(sink: int) -> Policy:
    """Deep Sink with so many sink frames; without any it is the sliding window."""
    return DeepSink(sink=sink) if sink else SlidingWindow()


_ALL = (
    Experiment(
        "policies",
        "Does half a window of sinks with a compressed middle keep a five-second model good for a minute?",
        "Table 4 and Appendix A: dynamic degree 36.6 (Self Forcing), 48.6 (+ Deep Sink), 57.6 (+ compression) at 30 s; "
        "three sink frames still degrade, ten with their phase moved hold",
        (SlidingWindow(), AttentionSink(), DeepSink(), DeepForcing()),
    ),
    Experiment(
        "scenery",
        "What no caption says and only the first frames know: is it still there after a minute?",
        "Section 3.1, in words and pictures: once the first frames have left the window, texture and detail drift",
        (
            SlidingWindow(),
            AttentionSink(),
            DeepSink(),
            DeepForcing(),
            DeepForcing(phase="none"),
            DeepForcing(score="random"),
        ),
        others=NEXT,
        seeds=1,
        table="scenes",
    ),
    Experiment(
        "switch",
        "When the prompt changes, does the old scene stay away?",
        "Section 3.2: a sink left behind rolls the video back to its first frames; the paper shows it with one prompt",
        (
            SlidingWindow(),
            AttentionSink(),
            DeepSink(),
            DeepSink(phase="none"),
            DeepForcing(),
            DeepForcing(phase="none"),
            DeepForcing(phase="contiguous"),
        ),
        others=NEXT,
        seeds=1,
        table="stories",
    ),
    Experiment(
        "second-scene",
        "What came after the sink was full and is not recent any more: does the chosen middle remember it?",
        "Fig. 12 and 13, in pictures: chosen tokens hold the context together, random ones do not; the paper has no "
        "second scene",
        (
            SlidingWindow(),
            DeepSink(),
            *(DeepForcing(score=score) for score in ("attention", "random", "newest", "oldest")),
        ),
        others=NEXT,
        seeds=1,
        table="stories",
    ),
    Experiment(
        "reappear",
        "A subject leaves the frame and returns: is it the same one?",
        "no such experiment; section 3.1 has the first frames anchor what is seen later",
        (SlidingWindow(), DeepSink(), DeepForcing(), DeepForcing(phase="none")),
        others=NEXT,
        seeds=1,
        table="visits",
    ),
    Experiment(
        "revisit",
        "The camera pans away for ten seconds and back: is the beginning seen again?",
        "no such experiment; section 3.1 has the first frames anchor what is seen later",
        (SlidingWindow(), DeepSink(), DeepForcing(), DeepForcing(phase="none")),
        seeds=1,
        table="journeys",
    ),
    Experiment(
        "phase",
        "Must the sink travel along in time?",
        "Section 3.2: without the adjustment flicker, loss of fidelity, and roll-back to the sink frames",
        tuple(kind(phase=phase) for kind in (DeepSink, DeepForcing) for phase in ("none", "released", "contiguous")),
        seeds=1,
        prompts=12,
    ),
    Experiment(
        "score",
        "Does it matter which tokens of the middle stay?",
        "Fig. 12: random top-C instead of scored breaks subjects and context",
        tuple(DeepForcing(score=score) for score in ("attention", "random", "inverted")),
        seeds=1,
        prompts=12,
    ),
    Experiment(
        "queries",
        "Whose attention should choose?",
        "Table 5, smoothness / consistency / quality: current 97.86 / 20.44 / 68.24, past 97.91 / 20.47 / 68.54, "
        "both 98.27 / 20.54 / 69.31",
        tuple(DeepForcing(queries=queries) for queries in ("both", "past", "current")),
        seeds=1,
        prompts=12,
    ),
    Experiment(
        "depth",
        "How many frames make a sink?",
        "Fig. 5 and 10: 10 to 15 of 21 are best; 4 or 9 still drift, 18 repeats early frames",
        tuple(map(at_depth, DEPTHS)),
        seeds=1,
        prompts=12,
    ),
    Experiment(
        "attention",
        "How deep is the sink of this model? Attention of the last chunk of the window, by frame, layer and head.",
        "Fig. 4 and 16: comparable weight on the earliest and on the middle frames, in most heads and layers",
        table="masses",
    ),
    Experiment(
        "stability",
        "Is the choice made at the first denoising step still right at the later ones?",
        "Fig. 11: the top-C tokens of t = 1000 are those of the later steps too",
        table="agreements",
    ),
    Experiment(
        "slots",
        "Which places of the middle are chosen?",
        "Fig. 13: mostly tokens just behind the sink",
        table="slots",
    ),
)
EXPERIMENTS = {experiment.name: experiment for experiment in _ALL}


def experiments_named(names: list[str]) -> list[Experiment]:
    """Those experiments; all of them for no names. Raises SettingsError for an unknown one."""
    for name in names:
        if name not in EXPERIMENTS:
            raise SettingsError(f"unknown experiment {name!r}; there are {', '.join(EXPERIMENTS)}")
    return [EXPERIMENTS[name] for name in names or EXPERIMENTS]


def label(policy: Policy) -> str:
    """The policy's name, and every setting that is not its default: `deep-forcing phase=none`."""
    values, defaults = settings_of(policy), {f.name: f.default for f in fields(policy)}
    return " ".join([policy.name, *(f"{k}={v}" for k, v in values.items() if v != defaults[k])])
