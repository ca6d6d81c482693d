"""Settings that are touched while a run goes on: what holds from now on, what is for the next run; in words."""

from __future__ import annotations

from dataclasses import dataclass

from deepforcing import SettingsError, settings_of

from .run import VideoOrder

WAIT = {"seed": "the seed", "num_frames": "the length", "stale_prompt": "whether the prompt goes stale"}


@dataclass(frozen=True)
class Taken:
    """words: for the viewer, empty where run and page agree. later: whether some of it is for the next run."""

    words: str = ""
    later: bool = False


def take_up(run, wanted: VideoOrder) -> Taken:
    """Give a run, `Run` or `LentRun`, what the page's settings are now and were not, as far as it can change."""
    said, later = [], []
    for change in _changes(run.order, wanted):
        try:
            said.append(f"{_named(run.order, change)} {_since(run.change(**change))}.")
        except SettingsError as error:
            later.append(f"{_sentence(str(error))}.")
    waits = [words for name, words in WAIT.items() if getattr(run.order, name) != getattr(wanted, name)]
    if waits:
        later.append(f"For the next run: {', '.join(waits)}.")
    return Taken(" ".join([*map(_sentence, said), *later]), bool(later))


def _changes(now: VideoOrder, wanted: VideoOrder) -> list[dict]:
    """Apart, so that one may be for the next run and the other not."""
    both = [{name: getattr(wanted, name)} for name in ("switch", "policy")]
    return [change for change in both if change.items() - vars(now).items()]


def _named(now: VideoOrder, change: dict) -> str:
    if "switch" in change:
        return f"cache at a new prompt: {change['switch']},"
    was, values = settings_of(now.policy), settings_of(change["policy"])
    return ", ".join(f"{name} {value}" for name, value in values.items() if was.get(name) != value)


def _since(seconds: float | None) -> str:
    return "from the next chunk on" if seconds is None else f"from second {seconds:.0f} on"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
