"""The zip of a trace, opened with suspicion: names, sizes, packing methods are checked before a byte is unpacked."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from .fields import TraceError
from .index import MOST_CHUNKS

INDEX, VIDEO = "trace.json", "video.mp4"
MOST_BYTES = 1 << 30  # of all files, unpacked
MOST_INDEX_BYTES = 16 << 20
MOST_CHUNK_BYTES = 16 << 20
_ZIP = b"PK\x03\x04"  # how a zip begins
_PIECE = 1 << 20
_ENCRYPTED = 1  # of a file's flags


def chunk_name(number: int) -> str:
    return f"chunks/{number:06d}.safetensors"


@contextmanager
def opened(path: Path) -> Iterator[ZipFile]:
    """The archive, which holds an index, a video and chunks, and nothing else. Raises TraceError otherwise."""
    with reading(path):
        if path.stat().st_size > MOST_BYTES + MOST_INDEX_BYTES:
            raise TraceError(f"it is larger than {MOST_BYTES >> 20} MB")
        with path.open("rb") as file:
            begins = file.read(len(_ZIP))
            if begins != _ZIP:
                raise TraceError("it is no trace, or was damaged" if begins else "it is empty")
            with ZipFile(file) as archive:
                _check(archive.infolist())
                yield archive


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside, in words, as a TraceError that names the file."""
    try:
        yield
    except TraceError as error:
        raise TraceError(f"{path.name} cannot be read: {error}") from None
    except BadZipFile:
        raise TraceError(f"{path.name} cannot be read: it is damaged or was cut short. Get it again") from None
    except (zlib.error, struct.error, EOFError, ValueError, OverflowError, NotImplementedError, RuntimeError):
        raise TraceError(f"{path.name} cannot be read: it is damaged. Get it again") from None
    except OSError as error:
        raise TraceError(f"{path.name} cannot be read: {error.strerror or error}") from None


def entry(archive: ZipFile, name: str, most: int) -> bytes:
    """A file's content. Raises TraceError when it is larger than `most` bytes, whatever it declares."""
    return b"".join(pieces(archive, name, most))


def pieces(archive: ZipFile, name: str, most: int) -> Iterator[bytes]:
    """As `entry`, a piece at a time."""
    left = most
    with archive.open(name) as file:
        while piece := file.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise TraceError(f"its {name} is larger than {most >> 20} MB")
            yield piece


def _check(files: list[ZipInfo]) -> None:
    names = [file.filename for file in files]
    chunks = len(names) - 2
    if chunks > MOST_CHUNKS:
        raise TraceError(f"it has more than {MOST_CHUNKS} chunks")
    expected = {INDEX, VIDEO, *(chunk_name(number) for number in range(chunks))}
    for name in (name for name in names if name not in expected):
        raise TraceError(f"it is no trace: it has a file {name[:60]!r}")
    if len(set(names)) < len(names) or len(names) < 3:
        raise TraceError("it is no trace, or lacks a part")
    for file in files:
        if file.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or file.flag_bits & _ENCRYPTED:
            raise TraceError(f"its {file.filename} is packed in a way that no trace is")
        most = {INDEX: MOST_INDEX_BYTES, VIDEO: MOST_BYTES}.get(file.filename, MOST_CHUNK_BYTES)
        if file.file_size > most:
            raise TraceError(f"its {file.filename} is larger than {most >> 20} MB")
    if sum(file.file_size for file in files) > MOST_BYTES:
        raise TraceError(f"unpacked it is larger than {MOST_BYTES >> 20} MB")
