"""The JSON of a trace: what made the run, and what is plain about each chunk. Written as it is, read with suspicion."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from ..events import Chunk, StreamEnded, StreamStarted, Timings
from ..version import __version__

KIND = "deepforcing trace"
SCHEMA = 1
MOST_CHUNKS = 10_000  # two hours at 16 frames a second
MOST_TEXT = 2000  # characters of a prompt, an error, a name
MOST_SETTINGS = 20_000  # characters of all settings as JSON


class TraceError(ValueError):
    """A file that is no trace, or not a whole one; a run that a trace cannot hold. The message says why."""


@dataclass(frozen=True)
class ChunkFacts:
    """A chunk without its frames and arrays. frames: how many video frames; tokens, bytes: as in CacheState."""

    frames: int
    latent_frames: tuple[int, int]
    prompt: str
    timings: Timings
    tokens: int
    bytes: int

    @classmethod
    def of(cls, chunk: Chunk) -> ChunkFacts:
        cache = chunk.cache
        return cls(len(chunk.frames), chunk.latent_frames, chunk.prompt, chunk.timings, cache.tokens, cache.bytes)


@dataclass(frozen=True)
class Index:
    """All of a trace but its frames and arrays."""

    started: StreamStarted
    chunks: tuple[ChunkFacts, ...]
    ended: StreamEnded

    @property
    def prompts(self) -> tuple[tuple[float, str], ...]:
        """(second of the video, prompt that holds from there on)."""
        prompts, frame = [], 0
        for chunk in self.chunks:
            if not prompts or prompts[-1][1] != chunk.prompt:
                prompts.append((frame / self.started.fps, chunk.prompt))
            frame += chunk.frames
        return tuple(prompts)

    @property
    def frames(self) -> int:
        """Video frames in all."""
        return sum(chunk.frames for chunk in self.chunks)


def to_json(index: Index) -> str:
    """Chunks name their prompt by its number in `prompts`."""
    numbers, rows = -1, []
    for i, chunk in enumerate(index.chunks):
        numbers += i == 0 or chunk.prompt != index.chunks[i - 1].prompt
        rows.append({**asdict(chunk), "prompt": numbers})
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "deepforcing": __version__,
        "started": asdict(index.started),
        "prompts": [{"seconds": round(seconds, 3), "prompt": prompt} for seconds, prompt in index.prompts],
        "chunks": rows,
        "ended": {**asdict(index.ended), "error": index.ended.error and index.ended.error[:MOST_TEXT]},
    }
    return json.dumps(content, indent=1, allow_nan=False)


def from_json(text: bytes) -> Index:
    """Raises TraceError for what `to_json` would not have written, and for a newer schema."""
    content = Fields(_parsed(text), "index")
    if content.values.get("kind") != KIND:
        raise TraceError("it does not say that it is a trace")
    if content.whole("schema", 1, 10**6) > SCHEMA:
        newer = content.values["schema"]
        raise TraceError(f"it has schema {newer}, and this version reads up to {SCHEMA}. Update Deep Forcing")
    prompts = [Fields(row, "prompts").text("prompt") for row in content.rows("prompts", MOST_CHUNKS)]
    started = _started(content.part("started"))
    chunks = tuple(_chunk(Fields(row, "chunks"), prompts, started) for row in content.rows("chunks", MOST_CHUNKS))
    index = Index(started, chunks, _ended(content.part("ended"), len(chunks)))
    _check_order(index)
    return index


class Fields:
    """Values of a JSON object, each checked as it is taken. Raises TraceError that names the first wrong one."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise TraceError(f"its {where} is not an object")
        self.values, self.where = values, where

    def whole(self, name: str, least: int, most: int) -> int:
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return value

    def seconds(self, name: str) -> float:
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self.wrong(name, "a number of seconds")
        return float(value)

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or len(value) > MOST_TEXT:
            raise self.wrong(name, f"text of at most {MOST_TEXT} characters")
        return value

    def pair(self, name: str, most: int) -> tuple[int, int]:
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) != 2:
            raise self.wrong(name, "two whole numbers")
        first, second = (Fields({name: part}, self.where).whole(name, 0, most) for part in value)
        return first, second

    def rows(self, name: str, most: int) -> list:
        value = self.values.get(name)
        if not isinstance(value, list) or not 0 < len(value) <= most:
            raise self.wrong(name, f"a list of 1 to {most}")
        return value

    def part(self, name: str) -> Fields:
        return Fields(self.values.get(name), name)

    def wrong(self, name: str, expected: str) -> TraceError:
        return TraceError(f"its {self.where}: {name} is not {expected}")


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise TraceError("its index is not JSON: the file is damaged, or no trace") from None


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")


def _started(fields: Fields) -> StreamStarted:
    sizes = {"fps": 240, "height": 8192, "width": 8192, "stride": 64, "chunk_frames": 64, "layers": 512, "heads": 512}
    rows, columns = fields.pair("grid", 1024)
    if not rows or not columns:
        raise fields.wrong("grid", "rows and columns of tokens")
    return StreamStarted(
        **{name: fields.text(name) for name in ("model", "weights", "prompt", "policy", "attention")},
        **{name: fields.whole(name, 1, most) for name, most in sizes.items()},
        seed=fields.whole("seed", 0, 2**63 - 1),
        settings=_settings(fields),
        grid=(rows, columns),
        switch=fields.text("switch") if "switch" in fields.values else "keep",  # the first traces had no other
    )


def _settings(fields: Fields) -> dict:
    settings = fields.part("settings").values
    try:
        size = len(json.dumps(settings, allow_nan=False))
    except ValueError:
        size = MOST_SETTINGS + 1
    if size > MOST_SETTINGS:
        raise fields.wrong("settings", "values by name")
    return settings


def _chunk(fields: Fields, prompts: list[str], started: StreamStarted) -> ChunkFacts:
    timings = fields.part("timings")
    return ChunkFacts(
        frames=fields.whole("frames", 1, started.chunk_frames * started.stride),
        latent_frames=fields.pair("latent_frames", MOST_CHUNKS * 64),
        prompt=prompts[fields.whole("prompt", 0, len(prompts) - 1)],
        timings=Timings(timings.seconds("dit"), timings.seconds("decode")),
        tokens=fields.whole("tokens", 0, 2**53),
        bytes=fields.whole("bytes", 0, 2**53),
    )


def _ended(fields: Fields, chunks: int) -> StreamEnded:
    reason, error = fields.text("reason"), fields.values.get("error")
    if reason not in ("finished", "stopped", "error"):
        raise fields.wrong("reason", "finished, stopped or error")
    return StreamEnded(reason, fields.whole("chunks", chunks, chunks), None if error is None else fields.text("error"))


def _check_order(index: Index) -> None:
    """Chunks follow each other without gaps."""
    next_latent = 0
    for number, chunk in enumerate(index.chunks):
        first, end = chunk.latent_frames
        if first != next_latent or end != first + index.started.chunk_frames:
            raise TraceError(f"its chunk {number} does not follow the one before")
        next_latent = end
