"""Fetch a published model: licences first, then room on the disk, then file after file, and never half a file."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock

from .components import ModelError
from .sources import Part, Source, readable
from .stores import FolderStore, Slot, Store, missing_files, store_for
from .transfer import bytes_of, download, is_intact

_BY_HAND = "or put its files into a folder and give the folder's path"
_REPORT_SECONDS = 0.1


class LicenceError(ModelError):
    """Parts under a licence that forbids commercial use, which nobody has agreed to yet. `parts`: which."""

    def __init__(self, source: Source, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        named = "; ".join(f"{part.name} of {part.repo}: {part.licence}, {part.licence_url}" for part in parts)
        super().__init__(
            f"{source.title} has parts for non-commercial use only ({named}). Nothing was fetched: agree first, "
            "with --accept-licence on the command line or accept_non_commercial=True"
        )


@dataclass(frozen=True)
class Progress:
    """How far a fetch has come. `file_*`: of this file; the others: of all files of the parts that were not here.

    What an earlier, broken attempt left behind counts as done from the start.
    """

    part: str
    file: str
    file_done_bytes: int
    file_total_bytes: int
    done_bytes: int
    total_bytes: int
    files_done: int
    files_total: int


def fetch(
    source: Source,
    *,
    parts: Collection[str] | None = None,
    folder: Path | None = None,
    cache: Path | None = None,
    accept_non_commercial: bool = False,
    offline: bool = False,
    endpoint: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Path]:
    """Name of each part -> the file or folder to load it from; what is not on this machine yet is downloaded.

    parts: names; None for all that are not optional. folder: where to put them, None for the hub's cache (`cache`:
    another place for that). endpoint: another hub server. An exception out of `progress` ends the fetch; whatever
    ended it, the next one goes on from there.

    Raises LicenceError before a byte is fetched, ModelError for everything else, with a message for a person.
    """
    wanted, store = source.choose(parts), store_for(folder, cache, _checked(endpoint))
    missing = tuple(part for part in wanted if not store.find(part))
    if missing:
        if bound := tuple(part for part in missing if part.non_commercial and not accept_non_commercial):
            raise LicenceError(source, bound)
        if offline:
            raise ModelError(
                f"offline, and not on this machine: {_names(missing)} of {source.title}. Connect, {_BY_HAND}"
            )
        jobs = [job for part in missing for job in _jobs(part, store, endpoint)]
        _check_room(jobs, folder)
        _run(jobs, store, progress or (lambda _: None))
    return {part.name: _found(part, store) for part in wanted}


def _checked(endpoint: str | None) -> str | None:
    """The hub server. Raises ModelError for an address without its beginning, which HF_ENDPOINT often is."""
    address = endpoint or constants.ENDPOINT
    if not address.startswith(("http://", "https://")):
        raise ModelError(f"the hub's address, {address}, lacks its beginning: set HF_ENDPOINT to https://{address}")
    return endpoint


def present(
    source: Source, *, parts: Collection[str] | None = None, folder: Path | None = None, cache: Path | None = None
) -> dict[str, Path]:
    """The parts that need no download, as `fetch` would return them; looks at the disk only."""
    store = store_for(folder, cache, None)
    return {part.name: path for part in source.choose(parts) if (path := store.find(part))}


def find_local(source: Source, folder: Path, parts: Collection[str] | None = None) -> dict[str, Path]:
    """The parts in a folder that a person filled; ModelError lists every file that is missing.

    Expected: the repositories' own layout, as in vae/, text_encoder/, tokenizer/, checkpoints/self_forcing_dmd.pt.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder: expected one with the parts of {source.title}")
    wanted, store = source.choose(parts), FolderStore(folder)
    found = {part.name: path for part in wanted if (path := store.find(part))}
    lost = [name for part in wanted if part.name not in found for name in missing_files(part, folder)]
    if lost:
        raise ModelError(f"{folder} lacks {', '.join(lost)}, which {source.title} needs")
    return found


@dataclass(frozen=True)
class _Job:
    """One file to fetch."""

    part: Part
    name: str
    size: int
    identity: str
    url: str
    slot: Slot

    @property
    def is_done(self) -> bool:
        return bytes_of(self.slot.final) == self.size

    @property
    def bytes_there(self) -> int:
        return self.size if self.is_done else min(bytes_of(self.slot.partial), self.size)


def _jobs(part: Part, store: Store, endpoint: str | None) -> list[_Job]:
    """The part's files as the hub lists them now, small ones first: an index comes before what it lists."""
    with explained(part):
        hub = HfApi(endpoint=endpoint)
        commit = hub.model_info(part.repo).sha
        folders = {name.rpartition("/")[0] for name in part.files + part.also}
        listed = [
            entry
            for folder in sorted(folders)
            for entry in hub.list_repo_tree(part.repo, folder or None, revision=commit)
            if isinstance(entry, RepoFile)
        ]
    for pattern in part.files:
        if not any(fnmatch(entry.path, pattern) for entry in listed):
            raise ModelError(
                f"{part.repo} has no {pattern}: the repository has changed; update this program, {_BY_HAND}"
            )
    jobs = []
    for entry in sorted(listed, key=lambda entry: entry.size):
        if any(fnmatch(entry.path, pattern) for pattern in part.files + part.also):
            identity = entry.lfs.sha256 if entry.lfs else entry.blob_id
            url = hf_hub_url(part.repo, entry.path, revision=commit, endpoint=endpoint)
            slot = store.slot(part, entry.path, identity)
            jobs.append(_Job(part, entry.path, entry.size, identity, url, slot))
    return jobs


def _check_room(jobs: list[_Job], folder: Path | None) -> None:
    """ModelError unless the disk has room for all that is still to come."""
    needed = sum(job.size - job.bytes_there for job in jobs)
    place = jobs[0].slot.partial
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        other = "choose another folder" if folder else "set HF_HOME to a place on another disk"
        raise ModelError(
            f"{readable(needed)} are needed and {readable(free)} are free on the disk of {place}: free some, or {other}"
        )


def _run(jobs: list[_Job], store: Store, progress: Callable[[Progress], None]) -> None:
    meter = _Meter(jobs, progress)
    for index, job in enumerate(jobs):
        meter.tell(index, job.bytes_there, now=True)
        with explained(job.part):
            _fetch_file(job, store, partial(meter.tell, index))
        meter.finish(index)


class _Meter:
    """Turns the bytes of one file into the progress of all, at most ten times a second."""

    def __init__(self, jobs: list[_Job], progress: Callable[[Progress], None]) -> None:
        self._jobs, self._progress = jobs, progress
        self._bytes = [job.bytes_there for job in jobs]
        self._finished = 0
        self._last = 0.0

    def tell(self, index: int, count: int, now: bool = False) -> None:
        self._bytes[index] = count
        if now or time.monotonic() - self._last >= _REPORT_SECONDS:
            self._last = time.monotonic()
            job, total = self._jobs[index], sum(job.size for job in self._jobs)
            files = (self._finished, len(self._jobs))
            self._progress(Progress(job.part.name, job.name, count, job.size, sum(self._bytes), total, *files))

    def finish(self, index: int) -> None:
        self._finished += 1
        self.tell(index, self._jobs[index].size, now=True)


def _fetch_file(job: _Job, store: Store, report: Callable[[int], None]) -> None:
    """Download, check, and only then give the file its name. Two processes at the same file take turns."""
    slot = job.slot
    for path in (slot.final, slot.partial, slot.lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(slot.lock):
        if not job.is_done:
            download(job.url, slot.partial, job.size, report)
            if not is_intact(slot.partial, job.size, job.identity):
                slot.partial.unlink()
                raise ModelError(f"{job.name} of {job.part.repo} arrived damaged and was thrown away: fetch it again")
            os.replace(slot.partial, slot.final)
        store.settle(job.part, job.name)


def _found(part: Part, store: Store) -> Path:
    path = store.find(part)
    if path is None:
        raise ModelError(f"{part.repo} does not hold all of {part.name}: expected {', '.join(part.files)}")
    return path


def _names(parts: tuple[Part, ...]) -> str:
    return ", ".join(part.name for part in parts)


@contextmanager
def explained(part: Part) -> Iterator[None]:
    """Turns what may go wrong between here and the hub into a ModelError that says what to do."""
    try:
        yield
    except GatedRepoError:
        raise ModelError(
            f"{part.repo} is open only to those who asked: ask on its page and set HF_TOKEN, {_BY_HAND}"
        ) from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"{part.repo} was not found: set HF_TOKEN if it is private, check HF_ENDPOINT if that is set, {_BY_HAND}"
        ) from None
    except RemoteEntryNotFoundError:
        raise ModelError(
            f"{part.repo} lacks a file of {part.name}: expected {', '.join(part.files)}; check HF_ENDPOINT if "
            f"that is set, {_BY_HAND}"
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        cause = "refuses access: check HF_TOKEN" if status in (401, 403) else "has trouble: try again later"
        raise ModelError(f"The hub {cause} (HTTP {status} for {part.repo}), {_BY_HAND}") from None
    except (HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ModelError(
            f"{part.name} of {part.repo} is not on this machine and the hub cannot be reached "
            f"({type(error).__name__}): connect and start again, it goes on from where it was, {_BY_HAND}"
        ) from None
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ModelError(
                f"The disk is full: free some space and start again, {part.name} goes on from there"
            ) from None
        raise ModelError(f"{part.name} of {part.repo} cannot be written: {error}") from None
