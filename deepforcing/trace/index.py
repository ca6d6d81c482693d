"""The JSON of a trace: what made the run, and what is plain about each chunk. Written as it is, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast, get_args

from ..events import Chunk, EndReason, SettingsChanged, StreamEnded, StreamStarted, Timings
from ..gauges import Gauges
from ..version import __version__
from .fields import MOST_TEXT, Fields, TraceError
from .measured import gauges_row, read_gauges

KIND = "deepforcing trace"
SCHEMA = 4  # the first had no gauges, the second no changes of settings, the third no steps and scenes
MOST_CHUNKS = 10_000  # two hours at 16 frames a second
MOST_SETTINGS = 20_000  # characters of all settings as JSON
MOST_PROMPT = 20 * MOST_TEXT  # several at once, each with its share
MOST_CHUNK_PIXELS = 1 << 27  # of all pictures of a chunk


@dataclass(frozen=True)
class ChunkFacts:
    """A chunk without its frames and arrays. frames: how many video frames; tokens, bytes, origin: as in CacheState.

    gauges: what was measured of it, where that was recorded.
    """

    frames: int
    latent_frames: tuple[int, int]
    prompt: str
    timings: Timings
    tokens: int
    bytes: int
    gauges: Gauges | None = None
    origin: int = 0

    @classmethod
    def of(cls, chunk: Chunk, gauges: Gauges | None = None) -> ChunkFacts:
        return cls(
            frames=len(chunk.frames),
            latent_frames=chunk.latent_frames,
            prompt=chunk.prompt,
            timings=chunk.timings,
            tokens=chunk.cache.tokens,
            bytes=chunk.cache.bytes,
            gauges=gauges,
            origin=chunk.cache.origin,
        )


@dataclass(frozen=True)
class Index:
    """All of a trace but its frames and arrays."""

    started: StreamStarted
    chunks: tuple[ChunkFacts, ...]
    ended: StreamEnded
    changes: tuple[SettingsChanged, ...] = ()

    @property
    def prompts(self) -> tuple[tuple[float, str], ...]:
        """(second of the video, prompt that holds from there on)."""
        prompts: list[tuple[float, str]] = []
        frame = 0
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
        rows.append({**asdict(chunk), "prompt": numbers, "gauges": gauges_row(chunk.gauges)})
    content = {
        "kind": KIND,
        "schema": SCHEMA,
        "deepforcing": __version__,
        "started": asdict(index.started),
        "prompts": [{"seconds": round(seconds, 3), "prompt": prompt} for seconds, prompt in index.prompts],
        "changes": [asdict(change) for change in index.changes],
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
    prompts = [Fields(row, "prompts").text("prompt", MOST_PROMPT) for row in content.rows("prompts", MOST_CHUNKS)]
    started = _started(content.part("started"))
    chunks = tuple(_chunks(content.rows("chunks", MOST_CHUNKS), prompts, started))
    changes = tuple(_changes(content, len(chunks))) if "changes" in content.values else ()  # the first traces had none
    index = Index(started, chunks, _ended(content.part("ended"), len(chunks)), changes)
    _check_order(index)
    return index


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
    texts: dict[str, Any] = {name: fields.text(name) for name in ("model", "weights", "policy", "attention")}
    texts["prompt"] = fields.text("prompt", MOST_PROMPT)
    numbers: dict[str, Any] = {name: fields.whole(name, 1, most) for name, most in sizes.items()}
    return StreamStarted(
        **texts,
        **numbers,
        seed=fields.whole("seed", 0, 2**63 - 1),
        settings=_settings(fields, "settings"),
        grid=(rows, columns),
        switch=fields.text("switch") if "switch" in fields.values else "keep",  # the first traces had no other
        stale_prompt=fields.flag("stale_prompt") if "stale_prompt" in fields.values else False,
        device=fields.text("device") if "device" in fields.values else "",
        steps=fields.whole("steps", 0, 1000) if "steps" in fields.values else 0,
    )


def _settings(fields: Fields, name: str) -> dict:
    settings = fields.part(name).values
    try:
        size = len(json.dumps(settings, allow_nan=False))
    except ValueError:
        size = MOST_SETTINGS + 1
    if size > MOST_SETTINGS:
        raise fields.wrong(name, "values by name")
    return settings


def _changes(content: Fields, chunks: int) -> Iterator[SettingsChanged]:
    """At most one before each chunk, in order."""
    least = 0
    for row in content.rows("changes", chunks, least=0):
        fields = Fields(row, "changes")
        before, after = _plain(fields, "before"), _plain(fields, "after")
        if not (set(before) == set(after) or ("policy" in before and set(before) < set(after))):
            raise fields.wrong("after", "a value for each of those before")
        change = SettingsChanged(fields.whole("chunk", least, chunks - 1), before, after)
        least = change.chunk + 1
        yield change


def _plain(fields: Fields, name: str) -> dict:
    values = _settings(fields, name)
    if not all(_is_plain(value) for value in values.values()):
        raise fields.wrong(name, "plain values by name")
    return values


def _is_plain(value: object) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= MOST_TEXT)


def _chunks(rows: list, prompts: list[str], started: StreamStarted) -> Iterator[ChunkFacts]:
    first_frame = 0
    for row in rows:
        chunk = _chunk(Fields(row, "chunks"), prompts, started, first_frame)
        first_frame += chunk.frames
        yield chunk


def _chunk(fields: Fields, prompts: list[str], started: StreamStarted, first_frame: int) -> ChunkFacts:
    timings, latent_frames = fields.part("timings"), fields.pair("latent_frames", MOST_CHUNKS * 64)
    frames = fields.whole("frames", 1, started.chunk_frames * started.stride)
    if frames * started.height * started.width > MOST_CHUNK_PIXELS:
        raise fields.wrong("frames", "as many pictures as a chunk may hold")
    return ChunkFacts(
        frames=frames,
        latent_frames=latent_frames,
        prompt=prompts[fields.whole("prompt", 0, len(prompts) - 1)],
        timings=Timings(timings.seconds("dit"), timings.seconds("decode")),
        tokens=fields.whole("tokens", 0, 2**53),
        bytes=fields.whole("bytes", 0, 2**53),
        gauges=read_gauges(fields, first_frame, first_frame + frames),
        origin=fields.whole("origin", 0, latent_frames[0]) if "origin" in fields.values else 0,
    )


def _ended(fields: Fields, chunks: int) -> StreamEnded:
    reason, error = cast(EndReason, fields.text("reason")), fields.values.get("error")
    if reason not in get_args(EndReason):
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
