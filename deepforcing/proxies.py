"""The proxies that the environment, or the system, names: none for this machine itself, and none that cannot be used.

Gradio asks its own server on loopback whether it is there, and makes an HTTP client when it is imported; one variable
that httpx cannot read (`all_proxy=socks://...`) would end every program that imports it.
"""

from __future__ import annotations

import importlib.util
import os
import urllib.request

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
EXCEPTED = "no_proxy"


def mind_proxies(*hosts: str) -> list[str]:
    """Lets loopback and other `hosts` be reached directly, and leaves out what cannot be used: a note for each."""
    if not _set(*PROXIES, EXCEPTED):
        for scheme, address in urllib.request.getproxies().items():  # the system's are asked only where none is set
            if f"{scheme}_proxy" in PROXIES:
                os.environ[f"{scheme}_proxy"] = address
    if not _set(*PROXIES):
        return []
    notes = []
    for name in _set(*PROXIES):
        if why := _unusable(os.environ[name]):
            notes.append(f"note: {name} is left out, since its proxy {os.environ[name]} cannot be used: {why}")
            del os.environ[name]
    excepted = [entry.strip() for name in _set(EXCEPTED) for entry in os.environ[name].split(",")]
    direct = ",".join(dict.fromkeys([*filter(_is_readable, excepted), *LOOPBACK, *hosts]))
    os.environ[EXCEPTED] = os.environ[EXCEPTED.upper()] = direct
    return notes


def _set(*names: str) -> list[str]:
    """Variables of these names, in letters of any case, that are set to something."""
    return [name for name, value in os.environ.items() if value and name.lower() in names]


def _unusable(address: str) -> str:
    """Why httpx cannot use a proxy; empty where it can."""
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
