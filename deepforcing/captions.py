"""The caption grammar of the tiny model's world: what can be said, and in how many words.

Each table maps a canonical name to the phrases that mean it; the first phrase is the canonical one.
Neither numpy nor torch is needed to read or to write a caption.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TypeVar

Row = TypeVar("Row")
Table = MappingProxyType  # canonical name -> tuple of phrases


def _table(**rows: Row) -> MappingProxyType[str, Row]:
    return MappingProxyType(rows)


SUBJECTS: Table = _table(
    balloon=("balloon", "hot air balloon"),
    boat=("boat", "sailboat", "sailing boat"),
    bird=("bird", "little bird"),
    rocket=("rocket", "rocket ship"),
    kite=("kite", "paper kite"),
    fish=("fish", "little fish"),
    star=("star", "shining star"),
    ball=("ball", "beach ball"),
)
COLOURS: Table = _table(
    red=("red", "scarlet"),
    orange=("orange", "tangerine"),
    yellow=("yellow", "golden"),
    green=("green", "emerald"),
    blue=("blue", "azure"),
    purple=("purple", "violet"),
    pink=("pink", "rose"),
    white=("white", "snowy white"),
)
MOTIONS: Table = _table(
    drifting=("drifting", "floating", "gliding"),
    rising=("rising", "climbing", "going up"),
    falling=("falling", "sinking", "coming down"),
    bouncing=("bouncing", "hopping", "jumping"),
    circling=("circling", "flying in circles", "looping"),
    swaying=("swaying", "swinging", "rocking"),
)
PLACES: Table = _table(
    sea=("over the sea", "above the ocean", "over the waves"),
    hills=("over green hills", "above the meadows", "over the countryside"),
    city=("over the city", "above the town", "over the skyline"),
    desert=("over the desert", "above the dunes", "over the sand"),
    mountains=("over snowy mountains", "above the mountains", "over the snow"),
)
TIMES: Table = _table(
    day=("by day", "in the daytime", "at noon"),
    dawn=("at dawn", "at sunrise", "in the early morning"),
    sunset=("at sunset", "at dusk", "in the evening"),
    night=("at night", "by night", "under the stars"),
)
CAMERAS: Table = _table(
    still=("", "still camera", "camera still"),
    left=("camera panning left", "panning left", "camera moving left"),
    right=("camera panning right", "panning right", "camera moving right"),
)

TABLES = _table(subject=SUBJECTS, colour=COLOURS, motion=MOTIONS, place=PLACES, time=TIMES, camera=CAMERAS)
FUNCTION_WORDS = frozenset(
    "a an the and or of in on at by to from with over under above into through for is are it its this that some "
    "as while very one".split()
)
LONGEST_WORD = 24  # letters; longer runs of letters are cut when they are reported
_WORD = re.compile(r"[^\W\d_]+")


def words(text: str) -> list[str]:
    """Lower-case words of any text; digits, punctuation, markup and emoji separate words and are dropped."""
    return _WORD.findall(text.lower())


def content_words(text: str) -> list[str]:
    """The words that say something, in order, each once, and cut to LONGEST_WORD letters."""
    said = (word[:LONGEST_WORD] for word in words(text) if word not in FUNCTION_WORDS)
    return list(dict.fromkeys(said))


@dataclass(frozen=True)
class Caption:
    """What a clip shows, by canonical names."""

    subject: str
    colour: str
    motion: str
    place: str
    time: str
    camera: str = "still"

    def __post_init__(self) -> None:
        for name, table in TABLES.items():
            if getattr(self, name) not in table:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; one of {', '.join(table)}")

    def phrase(self, rng=None) -> str:
        """A sentence that says it: the canonical one, or with `rng` (`numpy.random.Generator`) any of its forms."""
        part = {name: _pick(TABLES[name][getattr(self, name)], rng) for name in TABLES}
        noun = f"{part['colour']} {part['subject']}"
        middle = [part["place"], part["time"]]
        if rng is not None and rng.random() < 0.25:
            middle.reverse()
        sentence = f"{_article(noun, rng)}{noun} {part['motion']} {' '.join(middle)}"
        return f"{sentence}, {part['camera']}" if part["camera"] else sentence


def _pick(phrases: tuple[str, ...], rng) -> str:
    if rng is None or rng.random() < 0.4:
        return phrases[0]
    return phrases[int(rng.integers(len(phrases)))]


def _article(noun: str, rng) -> str:
    if rng is not None and rng.random() < 0.15:
        return ""
    return "an " if noun[0] in "aeiou" else "a "


def caption_in(text: str) -> Caption | None:
    """What a prompt says of this world; parts that it leaves out are as in the first caption that is suggested. None
    where it names no subject."""
    said = f" {' '.join(words(text))} "
    found = {name: _named(table, said) for name, table in TABLES.items()}
    if found["subject"] is None:
        return None
    return Caption(**{name: key or getattr(SUGGESTED[0], name) for name, key in found.items()})


def _named(table: Table, said: str) -> str | None:
    """The name of which the text has the longest phrase, or else a word that says something."""
    phrases = [(phrase, name) for name, row in table.items() for phrase in row if phrase]
    whole = [(len(phrase), name) for phrase, name in phrases if f" {phrase} " in said]
    single = [(1, name) for phrase, name in phrases for word in content_words(phrase) if f" {word} " in said]
    return max(whole or single, key=lambda found: found[0], default=(0, None))[1]


def camera_moves(text: str) -> bool:
    """Whether a prompt of this world asks for a camera that moves."""
    phrases = (phrase for name, row in CAMERAS.items() if name != "still" for phrase in row)
    said = " ".join(words(text))
    return any(phrase in said for phrase in phrases)


def sample_caption(rng) -> Caption:
    """A caption drawn uniformly from the grammar; `rng` is a `numpy.random.Generator`."""
    return Caption(**{f.name: tuple(TABLES[f.name])[int(rng.integers(len(TABLES[f.name])))] for f in fields(Caption)})


def known_words() -> tuple[str, ...]:
    """Every word that a caption can contain, sorted: the text encoder's vocabulary."""
    phrases = (phrase for table in TABLES.values() for row in table.values() for phrase in row)
    return tuple(sorted({word for phrase in phrases for word in words(phrase)} | {"a", "an"}))


SUGGESTED = (  # for people who ask for what is not in this world
    Caption("balloon", "red", "drifting", "city", "sunset"),
    Caption("boat", "white", "swaying", "sea", "day"),
)
