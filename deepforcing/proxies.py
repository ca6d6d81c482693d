"""The environment's proxies: none for this machine itself, and none that the HTTP library cannot use.

Gradio asks its own server on loopback whether it is there, and makes an HTTP client when it is imported; one variable
that httpx cannot read (`all_proxy=socks://...`) would end every program that imports it.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import MutableMapping

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def mind_proxies(*hosts: str, environment: MutableMapping[str, str] = os.environ) -> list[str]:
    """Lets loopback and other `hosts` be reached directly, and leaves out what cannot be used: a note for each."""
    set_here = [name for name in environment if name.lower() in (*PROXIES, "no_proxy") and environment[name]]
    if not set_here:
        return []
    notes = []
    for name in set_here:
        if name.lower() in PROXIES and (why := _unusable(environment[name])):
            notes.append(f"note: {name} is left out, since its proxy {environment[name]} cannot be used: {why}")
            del environment[name]
    excepted = [
        entry.strip() for name in set_here if name.lower() == "no_proxy" for entry in environment[name].split(",")
    ]
    readable = dict.fromkeys([*filter(_is_readable, excepted), *LOOPBACK, *hosts])
    environment["no_proxy"] = environment["NO_PROXY"] = ",".join(readable)
    return notes


def _unusable(address: str) -> str:
    import httpx

    try:
        scheme = httpx.Proxy(address if "://" in address else f"http://{address}").url.scheme
    except (ValueError, httpx.InvalidURL) as error:
        return str(error)
    if scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        return "pip install 'httpx[socks]' first"
    return ""


def _is_readable(entry: str) -> bool:
    """Whether httpx can make a pattern of an entry of no_proxy; `[::1]` is one that it cannot."""
    import httpx

    try:
        httpx.URL(f"all://[{entry}]" if entry.count(":") > 1 else f"all://*{entry}")
    except httpx.InvalidURL:
        return False
    return bool(entry)
