"""Who takes part in a race."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import SettingsError
from ..evaluation.experiments import label
from ..policies import Policy, make_policy, read_words, settings_of
from ..switching import check_switch
from ..timeline import read_time

LEAST, MOST = 2, 4
LONGEST_LABEL = 80  # characters
LONGEST_MELT = 60  # seconds


@dataclass(frozen=True)
class Runner:
    """A name for people to read, and the settings that are this runner's own.

    switch: what becomes of its cache at a new prompt. melt: for how many seconds a new prompt melts in, 0 for a cut,
    which leaves the cache alone. Raises SettingsError for a label that cannot be shown.
    """

    label: str
    policy: Policy
    switch: str = "keep"
    melt: float = 0.0

    def __post_init__(self) -> None:
        if not self.label.strip() or not self.label.isprintable():
            raise SettingsError(f"a runner's label must be text that can be shown, not {self.label[:40]!r}")
        if len(self.label) > LONGEST_LABEL:
            raise SettingsError(f"a runner's label can have {LONGEST_LABEL} characters, not {len(self.label)}")
        check_switch(self.switch)
        if not 0 <= self.melt <= LONGEST_MELT:
            raise SettingsError(f"a prompt melts in for 0 to {LONGEST_MELT} seconds, not {self.melt:g}")

    @property
    def words(self) -> str:
        """The policy, every setting that is not its default, and the switch: as `read_runner` reads them."""
        switch = [] if self.switch == "keep" else [f"switch={self.switch}"]
        return " ".join([label(self.policy), *switch, *([f"melt={self.melt:g}"] if self.melt else [])])

    @property
    def settings(self) -> dict:
        """All of them as plain values, for files and messages."""
        melt = {"melt": self.melt} if self.melt else {}
        return {"policy": self.policy.name, **settings_of(self.policy), "switch": self.switch, **melt}


def read_runner(text: str, switch: str = "keep", name: str = "") -> Runner:
    """`deep-forcing phase=none switch=sink`, `deep-forcing melt=4s`: a policy's name and settings; the words are the
    label too, unless another name is given.

    switch: of a runner that names none. Raises SettingsError for an unknown policy or setting, or one that cannot be.
    """
    policy, given = read_words(text)
    settings = {"switch": switch, **given}
    switch, melt = str(settings.pop("switch")), read_time(str(settings.pop("melt", 0)))
    return Runner(name or " ".join(text.split()), make_policy(policy, **settings), switch, melt)


def widest(runners: Sequence[Runner]) -> Policy:
    """The policy with the largest window: the one that says how much memory a race needs."""
    return max((runner.policy for runner in runners), key=lambda policy: policy.window)


def check_field(runners: Sequence[Runner]) -> tuple[Runner, ...]:
    """The runners themselves. Raises SettingsError unless they are two to four, each with a label of its own."""
    if not LEAST <= len(runners) <= MOST:
        raise SettingsError(f"a race needs {LEAST} to {MOST} runners, not {len(runners)}")
    for name, count in Counter(runner.label for runner in runners).items():
        if count > 1:
            raise SettingsError(f"{count} runners are called {name!r}: give each a label of its own")
    return tuple(runners)
