"""Find a model: which published one it is or is made like, where its parts are, and which are still to be fetched."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from .components import ModelError
from .fetch import find_local, present
from .loading import Loading
from .sources import SELF_FORCING, SOURCES, Part, Source


@dataclass(frozen=True)
class Found:
    """A model, as far as it is on this machine.

    source   the published model that it is, or that it runs like
    own      parts at the path that was given; shared: parts in the hub's cache
    missing  parts that can be fetched into the hub's cache
    """

    name: str
    source: Source
    own: Mapping[str, Path]
    shared: Mapping[str, Path]
    missing: tuple[Part, ...]

    @property
    def parts(self) -> dict[str, Path]:
        """Where each part is that is on this machine."""
        return {**self.shared, **self.own}

    @property
    def title(self) -> str:
        """The name for people to read."""
        return self.name if self.own else self.source.title


def locate(model: str | Path, loading: Loading = Loading()) -> Found:
    """A model by its name in SOURCES, or at a path: a folder with all parts, or a transformer alone.

    A transformer alone, a file or a diffusers folder, takes the other parts from Self Forcing's. A folder without the
    small decoder takes the published one. Raises ModelError for an unknown name and for a folder that lacks parts.
    """
    if str(model) in SOURCES:
        source = SOURCES[str(model)]
        return _found(source.name, source, {}, loading)
    path = Path(model)
    if not path.exists():
        raise ModelError(unknown_model(str(model), ["tiny", *SOURCES], "a path that exists"))
    if path.is_file() or (path / "config.json").is_file():
        name = path.stem if path.is_file() else path.absolute().name
        return _found(name, SELF_FORCING, {"transformer": path}, loading)
    return _in_folder(path, loading)


def find(model: str | Path, loading: Loading = Loading()) -> Found:
    """As `locate`, for a model that needs no download. Raises ModelError that says how to get what is missing."""
    found = locate(model, loading)
    if found.missing:
        names = ", ".join(part.name for part in found.missing)
        raise ModelError(f"{found.title} is not complete on this machine: it lacks {names}. {_fetch_these(found)}")
    return found


def _fetch_these(found: Found) -> str:
    command = f"python -m deepforcing fetch {found.source.name}"
    if found.own or any(part.optional for part in found.missing):  # what the command fetches by itself is not wanted
        command += f" --parts {','.join(part.name for part in found.missing)}"
    return f"Get that with `{command}`"


def unknown_model(name: str, known: Collection[str], *others: str) -> str:
    """What is wrong with a name: what was expected, and the nearest known one."""
    near = get_close_matches(name, known, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    *first, last = [*known, *others]
    return f"unknown model {name!r}: expected {', '.join(first)}{',' * (len(first) > 1)} or {last}{meant}"


def _found(name: str, source: Source, own: Mapping[str, Path], loading: Loading) -> Found:
    """With what is not one's own looked for in the hub's cache."""
    others = tuple(part for part in loading.parts(source) if part not in own)
    shared = present(source, parts=others)
    return Found(name, source, own, shared, tuple(p for p in source.choose(others) if p.name not in shared))


def _in_folder(folder: Path, loading: Loading) -> Found:
    source = max(SOURCES.values(), key=lambda source: len(present(source, folder=folder)))  # the first of equals
    wanted = loading.parts(source)
    own = present(source, parts=wanted, folder=folder)
    if not own:
        raise ModelError(
            f"{folder} holds no model: expected the parts of a published one (vae, text_encoder, tokenizer and a "
            "checkpoint), a transformer in diffusers' layout (config.json), or a tiny model (model.json)"
        )
    optional = {part.name for part in source.parts if part.optional}
    find_local(source, folder, [name for name in wanted if name not in optional])
    return _found(folder.absolute().name, source, own, loading)
