"""A hub of our own on 127.0.0.1: what fetching asks for, with redirects, ranges, broken connections."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + 34 * "0"


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class FakeHub:
    """repos: repository -> file name -> content; files over 1 kB count as large: kept elsewhere, named by SHA-256.

    cut: how many bytes of a large file to send before the connection is dropped, one entry an answer, None = all.
    refuse: repository -> (HTTP status, the hub's error code).
    requests: all paths as they came; authorised: those with a token; downloads:
    (file, Range) of those answered with a file's bytes.
    """

    repos: dict[str, dict[str, bytes]]
    cut: list[int | None] = field(default_factory=list)
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    authorised: list[str] = field(default_factory=list)
    downloads: list[tuple[str, str | None]] = field(default_factory=list)
    ranges: bool = True
    damage: bool = False
    licences: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(path)
        if "Authorization" in self.headers:
            self.hub.authorised.append(path)
        repo = path.removeprefix("/api/models/").split("/resolve/")[0].split("/tree/")[0].strip("/")
        if path.startswith("/large/"):
            self._send_large(path)
        elif repo in self.hub.refuse:
            status, code = self.hub.refuse[repo]
            self._send(status, b"{}", {"X-Error-Code": code})
        elif repo not in self.hub.repos:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        elif path.startswith("/api/models/"):
            self._send_listing(repo, path)
        else:
            self._send_file(repo, path)

    def _send_listing(self, repo: str, path: str) -> None:
        if "/tree/" not in path:
            card = {"cardData": {"license": licence}} if (licence := self.hub.licences.get(repo)) else {}
            return self._send(200, json.dumps({"id": repo, "sha": COMMIT, **card}).encode())
        folder = path.partition("/tree/")[2].partition("/")[2] or "."
        files = self.hub.repos[repo]
        inside = [_entry(name, files[name]) for name in files if str(PurePosixPath(name).parent) == folder]
        if not inside:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        self._send(200, json.dumps(inside).encode())

    def _send_file(self, repo: str, path: str) -> None:
        name = path.partition("/resolve/")[2].partition("/")[2]
        content = self.hub.repos[repo].get(name)
        if content is None:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        if len(content) <= 1000:
            if self.command == "GET":
                self.hub.downloads.append((name, self.headers.get("Range")))
            return self._send(200, content, {"X-Repo-Commit": COMMIT, "ETag": f'"{git_name(content)}"'})
        sha = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": COMMIT}
        elsewhere = self.hub.endpoint.replace("127.0.0.1", "localhost")  # another host, as large files really are
        self._send(302, b"", {**linked, "Location": f"{elsewhere}/large/{repo}//{name}"})

    def _send_large(self, path: str) -> None:
        repo, _, name = path.removeprefix("/large/").partition("//")
        content = self.hub.repos[repo][name]
        if self.hub.damage:
            content = content[:-1] + b"!"
        span, status, headers = self.headers.get("Range"), 200, {}
        self.hub.downloads.append((name, span))
        if span and self.hub.ranges:
            start = int(span.removeprefix("bytes=").rstrip("-"))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            content, status = content[start:], 206
        cut = self.hub.cut.pop(0) if self.hub.cut else None
        self._send(status, content, headers, cut)

    def _send(self, status: int, content: bytes, headers: dict | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(content), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        self.close_connection = self.close_connection or cut is not None


def _entry(name: str, content: bytes) -> dict:
    entry = {"type": "file", "path": name, "size": len(content), "oid": git_name(content)}
    if len(content) > 1000:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
