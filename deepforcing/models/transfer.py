"""One file over HTTP, going on where a broken attempt stopped, and checked before anyone may trust it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

RETRY_WAITS = (1.0, 2.0, 5.0, 10.0, 20.0)  # seconds; counted anew whenever bytes came
_TIMEOUT = 30.0  # seconds without a byte
_PASSING = {408, 429, 500, 502, 503, 504}  # HTTP status of a server that may do better in a moment
_BLOCK = 1 << 20


def download(url: str, partial: Path, size: int, report: Callable[[int], None]) -> None:
    """Fill `partial` with the `size` bytes behind `url`, and `report` how many are there as they come.

    Bytes that `partial` holds already are kept and not asked for again. A broken connection is taken up again; after
    as many vain attempts as there are `RETRY_WAITS` the last error is raised, and `partial` stays for another time.
    """
    vain = 0
    while (before := bytes_of(partial)) < size:
        error = _append(url, partial, before, report)
        vain = 0 if bytes_of(partial) > before else vain + 1
        if vain > len(RETRY_WAITS):
            raise error or HTTPError("the server sends nothing")
        if vain:
            time.sleep(RETRY_WAITS[vain - 1])


def bytes_of(path: Path) -> int:
    """Size of a file, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def _append(url: str, partial: Path, there: int, report: Callable[[int], None]) -> Exception | None:
    """One request for what is missing. Returns the error that cut it short, if it is one that may pass."""
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}  # a compressed answer has other byte positions
    if there:
        headers["Range"] = f"bytes={there}-"
    try:
        with get_session().stream("GET", url, headers=headers, timeout=_TIMEOUT) as response:
            hf_raise_for_status(response)
            goes_on = response.status_code == 206  # anything else is the whole file once more
            with partial.open("ab" if goes_on else "wb") as file:
                count = there if goes_on else 0
                for block in response.iter_bytes():
                    file.write(block)
                    count += len(block)
                    report(count)
    except HfHubHTTPError as error:
        if error.response.status_code not in _PASSING:
            raise
        return error
    except HTTPError as error:
        return error
    return None


def is_intact(path: Path, size: int, identity: str) -> bool:
    """Whether a file is what the hub says it is.

    identity: SHA-256 of a large file, or git's name of a small one (SHA-1 of a header and the content), in hex.
    """
    if bytes_of(path) != size:
        return False
    digest = hashlib.sha256() if len(identity) == 64 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == identity
