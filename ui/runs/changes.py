"""Settings that are touched while a run goes on: what holds from now on, what is for the next run; in words."""

from __future__ import annotations

from dataclasses import dataclass

from deepforcing import SettingsError, settings_of

from .run import VideoOrder

WAIT = {"seed": "the seed", "num_frames": "the length", "stale_prompt": "whether the prompt goes stale"}


@dataclass(frozen=True)
class Taken:
    """words: for the viewer, empty where run and page agree. later: whether some of it is for the next run; anew:
    whether a new scene, with an emptied cache, would take more of it up now."""

    words: str = ""
    later: bool = False
    anew: bool = False


def take_up(run, wanted: VideoOrder) -> Taken:
    """Give a run, `Run` or `LentRun`, what the page's settings are now and were not, as far as it can change."""
    said, later = [], []
    for change in _changes(run.order, wanted):
        try:
            said.append(f"{_named(run.order, change)} {_since(run.change(**change))}.")
        except SettingsError as error:
            later.append(f"{_sentence(str(error))}.")
    anew = bool(later)
    later += _for_the_next(run.order, wanted)
    return Taken(" ".join([*map(_sentence, said), *later]), bool(later), anew)


def new_scene(run, wanted: VideoOrder) -> Taken:
    """Give a run, `Run` or `LentRun`, what the page's settings are now, with an emptied cache."""
    try:
        since = _since(run.change(wanted.policy, wanted.switch, wanted.steps, anew=True, loras=wanted.loras))
    except SettingsError as error:
        return Taken(f"{_sentence(str(error))}.", later=True)
    later = _for_the_next(run.order, wanted)
    return Taken(" ".join([f"New scene {since}: the cache is emptied.", *later]), bool(later))


def _for_the_next(now: VideoOrder, wanted: VideoOrder) -> list[str]:
    """What no run can change, in a sentence."""
    waits = [words for name, words in WAIT.items() if getattr(now, name) != getattr(wanted, name)]
    return [f"For the next run: {', '.join(waits)}."] if waits else []


def _changes(now: VideoOrder, wanted: VideoOrder) -> list[dict]:
    """Apart, so that one may be for the next run and the other not."""
    each = [(name, getattr(wanted, name)) for name in ("switch", "steps", "loras", "policy")]
    return [{name: value} for name, value in each if value != getattr(now, name)]


def _named(now: VideoOrder, change: dict) -> str:
    if "switch" in change:
        return f"cache at a new prompt: {change['switch']},"
    if "steps" in change:
        return f"denoising steps: {change['steps']},"
    if "loras" in change:
        before = now.loras or (None,) * len(change["loras"])
        pairs = enumerate(zip(before, change["loras"], strict=True), 1)
        return ", ".join(f"LoRA {number}: {value:g}" for number, (was, value) in pairs if value != was) + ","
    was, values = settings_of(now.policy), settings_of(change["policy"])
    return ", ".join(f"{name} {value}" for name, value in values.items() if was.get(name) != value)


def _since(seconds: float | None) -> str:
    return "from the next chunk on" if seconds is None else f"from second {seconds:.0f} on"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
