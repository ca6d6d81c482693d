"""A proxy in the environment does not come between the page and its own server, and ends no program."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import gradio as gr
import httpx
import pytest

from deepforcing.__main__ import main
from deepforcing.proxies import mind_proxies
from ui import writable
from ui.page.launch import launch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(monkeypatch):
    """Sets variables, and takes all others about proxies away, those too that are set in the test."""
    names = [
        name.upper() if upper else name
        for upper in (0, 1)
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    ]

    def put(**given):
        for name in names:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)

    put()
    return put


def test_without_a_proxy_nothing_is_changed(environment, monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    before = dict(os.environ)
    assert mind_proxies() == [] and dict(os.environ) == before
    environment(no_proxy="intern.example")
    assert mind_proxies() == [] and os.environ["no_proxy"] == "intern.example"


def test_the_systems_proxy_stays_for_all_but_this_machine(environment, monkeypatch):
    """A system names its proxies elsewhere, and its exceptions in words that httpx does not know."""
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "http://10.0.0.1:8080", "ftp": "ftp://10.0.0.1"})
    assert mind_proxies() == []
    assert os.environ["http_proxy"] == "http://10.0.0.1:8080" and "ftp_proxy" not in os.environ
    with httpx.Client() as client:
        routes = [
            client._transport_for_url(httpx.URL(f"http://{host}/")) for host in ("localhost:7860", "other.example")
        ]
    assert [route is client._transport for route in routes] == [True, False]


@pytest.mark.parametrize("value", ["http://127.0.0.1:9", "127.0.0.1:9", "https://user:word@proxy.example:8080"])
def test_a_proxy_stays_for_all_but_this_machine(environment, value):
    environment(http_proxy=value, NO_PROXY="intern.example, .local")
    assert mind_proxies("192.168.1.5") == []
    with httpx.Client() as client:
        direct = [client._transport_for_url(httpx.URL(f"http://{host}:7860")) is client._transport for host in HOSTS]
    assert direct == [True] * 6 + [False]


HOSTS = ("127.0.0.1", "localhost", "[::1]", "192.168.1.5", "x.intern.example", "x.local", "other.example")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("all_proxy", "socks://127.0.0.1:7890", "Unknown scheme"),
        ("ALL_PROXY", "ftp://127.0.0.1:7890", "Unknown scheme"),
        ("http_proxy", "http://127.0.0.1:port", "Invalid port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_left_out_and_named(environment, name, value, why):
    environment(**{name: value})
    with pytest.raises((ValueError, httpx.InvalidURL)):
        httpx.Client()
    (note,) = mind_proxies()
    assert f"{name} is left out, since its proxy {value} cannot be used: {why}" in note
    httpx.Client().close()


def test_socks_needs_its_package(environment, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    environment(all_proxy="socks5://127.0.0.1:7890")
    assert "pip install 'httpx[socks]'" in mind_proxies()[0]


@pytest.mark.parametrize("value", ["[::1]", "fe80::/10,127.0.0.1"])
def test_exceptions_that_cannot_be_read_are_left_out(environment, value):
    environment(no_proxy=value, http_proxy="http://127.0.0.1:9")
    with pytest.raises(httpx.InvalidURL):
        httpx.Client()
    assert mind_proxies() == []
    httpx.Client().close()


def test_the_page_can_be_imported_whatever_the_proxy():
    code = "import ui, httpx; httpx.Client()"
    shell = {**os.environ, "ALL_PROXY": "socks://127.0.0.1:7890"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=shell, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.startswith("note: ALL_PROXY is left out")


@pytest.mark.parametrize("usable", [True, False])
def test_each_server_has_a_cache_folder_of_its_own_which_goes_with_it(tmp_path, usable):
    if not usable:
        (tmp_path / "gradio").write_text("not even a folder")
    code = "import ui, os, pathlib; f = os.environ['GRADIO_TEMP_DIR']; print(f, pathlib.Path(f).is_dir())"
    shell = {**os.environ, "TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": ""}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=shell, capture_output=True, text=True)
    folder, there = done.stdout.split()
    assert there == "True" and Path(folder).parent == (tmp_path / "gradio" if usable else tmp_path)
    assert not Path(folder).exists()


def test_a_folder_that_cannot_be_written_is_known(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert writable(tmp_path / "new") and not writable(tmp_path / "file" / "in it")


class Refusing(BaseHTTPRequestHandler):
    """A proxy that answers 502 to everything."""

    def do_GET(self):
        self.send_error(502)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture(params=["dead", "502"])
def proxy(request):
    server = HTTPServer(("127.0.0.1", 0), Refusing)
    if request.param == "502":
        threading.Thread(target=server.serve_forever, daemon=True).start()
    else:
        server.server_close()
    yield f"http://127.0.0.1:{server.server_port}"
    if request.param == "502":
        server.shutdown()
        server.server_close()


def test_the_page_starts_whatever_the_proxy(environment, proxy):
    environment(http_proxy=proxy, HTTP_PROXY=proxy)
    with gr.Blocks() as blocks:
        gr.HTML("here")
    launch(blocks, prevent_thread_lock=True, quiet=True)
    blocks.close()


@pytest.mark.parametrize("port", [99999, -7])
def test_an_address_that_cannot_be_served_is_an_oserror(port):
    with gr.Blocks() as blocks:
        gr.HTML("here")
    with pytest.raises(OSError, match=r"port"):
        launch(blocks, prevent_thread_lock=True, quiet=True, server_port=port)


@pytest.mark.parametrize("start", [lambda: main(["replay"]), lambda: main(["serve"])])
def test_without_ffmpeg_the_page_is_one_line_and_status_2(start, monkeypatch, capsys):
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    assert start() == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and "there is no ffmpeg at /nowhere/ffmpeg" in errors[0]


def test_a_port_that_is_taken_is_one_line_and_status_2(capsys):
    with HTTPServer(("127.0.0.1", 0), Refusing) as taken:
        assert main(["replay", "--host", "127.0.0.1", "--port", str(taken.server_port)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("deepforcing: Cannot find empty port")
