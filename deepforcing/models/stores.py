"""Where the parts of a published model lie on this machine: in a folder of one's own, or in the hub's cache."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

from .sources import Part

_SHARD = re.compile(r"(?P<stem>.+)-\d+-of-(?P<count>\d+)\.safetensors")


@dataclass(frozen=True)
class Slot:
    """Where one file comes to lie: its bytes gather in `partial`, and only a whole file is renamed to `final`.

    lock: held while a process writes to `partial`.
    """

    final: Path
    partial: Path
    lock: Path


@dataclass(frozen=True)
class FolderStore:
    """A folder that holds the repositories' files by their own names, the parts side by side."""

    root: Path

    def find(self, part: Part) -> Path | None:
        """The part's file or folder, if it is whole."""
        if not missing_files(part, self.root):
            return self.root / part.where
        places = (self.root / place for place in part.instead)
        return next((place for place in places if place.is_file() or _is_model_folder(place)), None)

    def slot(self, part: Part, name: str, identity: str) -> Slot:
        final = self.root / name
        hidden = self.root / ".incomplete"
        return Slot(final, hidden / f"{identity}.incomplete", hidden / f"{identity}.lock")

    def settle(self, part: Part, name: str) -> None:
        """Nothing to do: a file under its final name is where a loader looks."""


@dataclass(frozen=True)
class CacheStore:
    """The cache that the hub's own tools share: what they have fetched is found here, and the other way round.

    Its layout is documented: a file's bytes lie under `blobs/` by their hash, and snapshots link to them.
    """

    root: Path
    endpoint: str | None = None

    def find(self, part: Part) -> Path | None:
        """The part's file or folder, if it is whole."""
        anchor = try_to_load_from_cache(part.repo, part.files[0], cache_dir=self.root)
        if not isinstance(anchor, str):
            return None
        snapshot = Path(anchor).parents[part.files[0].count("/")]
        return None if missing_files(part, snapshot) else snapshot / part.where

    def slot(self, part: Part, name: str, identity: str) -> Slot:
        folder = "--".join(("models", *part.repo.split("/")))
        blob = self.root / folder / "blobs" / identity
        lock = self.root / ".locks" / folder / f"{identity}.incomplete.lock"  # the hub's own is without `incomplete`
        return Slot(blob, blob.with_name(f"{identity}.incomplete"), lock)

    def settle(self, part: Part, name: str) -> None:
        """Let the hub's library link a snapshot to the file. It finds the bytes in place and fetches nothing."""
        hf_hub_download(part.repo, name, cache_dir=self.root, endpoint=self.endpoint)


Store = FolderStore | CacheStore


def store_for(folder: Path | None, cache: Path | None, endpoint: str | None) -> Store:
    """The store of a folder, or of the hub's cache where no folder is given."""
    return FolderStore(folder) if folder else CacheStore(cache or Path(constants.HF_HUB_CACHE), endpoint)


def missing_files(part: Part, root: Path) -> list[str]:
    """Names or patterns that the part needs and `root` has no file for; lost shards of a split file too."""
    lost = []
    for pattern in part.files:
        found = [path for path in root.glob(pattern) if path.is_file()]
        lost += _lost_shards(found, root) if found else [pattern]
    return lost


def _lost_shards(paths: list[Path], root: Path) -> list[str]:
    """Of a file split as x-00002-of-00005.safetensors: the other shards and the index, where they are not there."""
    expected = set()
    for path in paths:
        if shard := _SHARD.fullmatch(path.name):
            stem, digits, count = shard["stem"], len(shard["count"]), int(shard["count"])
            names = [f"{stem}-{i:0{digits}}-of-{shard['count']}.safetensors" for i in range(1, count + 1)]
            expected |= {path.with_name(name) for name in [*names, f"{stem}.safetensors.index.json"]}
    return sorted(path.relative_to(root).as_posix() for path in expected if not path.is_file())


def _is_model_folder(folder: Path) -> bool:
    weights = list(folder.glob("*.safetensors"))
    return (folder / "config.json").is_file() and bool(weights) and not _lost_shards(weights, folder)
