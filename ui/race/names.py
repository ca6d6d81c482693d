"""What the page calls the runners of a race: what each keeps. The setting stands below, in small print."""

from __future__ import annotations

from deepforcing import POLICIES, AttentionSink, DeepSink, Runner, read_runner

PLAIN = {
    "self-forcing": "Keeps only the last frames",
    "attention-sink": f"Keeps the first {AttentionSink().sink} frames too",
    "deep-sink": f"Keeps the first {DeepSink().sink} frames too",
    "deep-forcing": f"Keeps the first {DeepSink().sink}, and the best of the middle",
    "deep-forcing phase=none": f"Keeps the first {DeepSink().sink}, left behind in time, and the middle",
    "deep-forcing score=random": f"Keeps the first {DeepSink().sink}, and a random middle",
    "deep-forcing switch=reencode": "A new prompt rewrites what it keeps",
    "deep-forcing switch=sink": "A new prompt clears all but the first frames",
    "deep-sink phase=none": f"Keeps the first {DeepSink().sink}, left behind in time",
    "streaming-llm": "Keeps the first frame, close by",
    "infinity-rope": "Keeps the first frame; a new prompt clears the rest",
    "rolling-sink": "Plays its first seconds to and fro as its past",
    "relax-forcing": "Reads four frames only",
    "tether-cache": "Keeps frames looked at and far apart, pulled to the first",
    "id-forcing": "Remembers each chunk by itself, for a short while",
    "decoprune": "Keeps what it changed its mind about",
    "fade-mem": "Forgets nothing, and merges what is long ago",
    "future-forcing": "Keeps what the next frames will look at",
    "h2o": "Keeps what was looked at most so far",
    "snapkv": "Keeps what was looked at last, for each head",
}
OPENING = ("self-forcing", "deep-forcing", "deep-forcing phase=none")


def choices() -> list[tuple[str, str]]:
    """(name, words) of each: all policies, and what people may want to set beside them."""
    return [(plain(words), words) for words in dict.fromkeys((*PLAIN, *POLICIES))]


def plain(words: str) -> str:
    """A runner's name for people; its words where it has none."""
    return PLAIN.get(words, words)


def named_runner(words: str) -> Runner:
    """Raises SettingsError as `read_runner` does."""
    return read_runner(words, name=PLAIN.get(words, ""))
