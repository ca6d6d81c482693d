"""Real classes at a tiny size, made on the spot."""

from __future__ import annotations

import os

from deepforcing.idle_threads import short_waits

os.environ.update(short_waits())  # before torch; also for the programs that tests start
if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
    os.environ.setdefault("GRADIO_SERVER_PORT", "7960")  # the first that is tried: processes do not race for one

import random
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

import deepforcing.policies
from deepforcing.config import Sampling, VideoShape
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import Pipeline

CHANNELS, TEXT_DIM = 4, 16
UI = Path(__file__).parent / "ui"


def pytest_xdist_auto_num_workers(config) -> int:
    """The whole suite in two processes, files that are named in this one."""
    return 2 if config.args_source is config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items) -> None:
    """A file's tests stay together, and all with a browser do: one at a time is enough for a machine."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group("browser" if UI in item.path.parents else item.path.stem))


class WordHash:
    """A text encoder for tests: a fixed random row for each word."""

    vocabulary = ()

    def encode(self, prompts: list[str]) -> torch.Tensor:
        rows = torch.zeros(len(prompts), 6, TEXT_DIM)
        for i, prompt in enumerate(prompts):
            for j, word in enumerate(prompt.split()[:6]):
                seed = torch.Generator().manual_seed(sum(map(ord, word)))
                rows[i, j] = torch.randn(TEXT_DIM, generator=seed)
        return rows

    def unknown_words(self, prompt: str) -> list[str]:
        return []

    def unread(self, prompt: str) -> str:
        return ""


def small_transformer(seed: int = 0, layers: int = 2) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=TEXT_DIM,
        freq_dim=16,
        ffn_dim=32,
        num_layers=layers,
    )


def small_pipeline(layers: int = 2, prediction: str = "flow") -> Pipeline:
    """2 x 3 tokens a frame, 32 x 48 pixels, random weights."""
    denoiser = CausalWan(small_transformer(layers=layers), Sampling(prediction=prediction))
    torch.manual_seed(1)
    codec = TinyCodec(CodecConfig(latent_channels=CHANNELS, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8)))
    return Pipeline("small", denoiser, WordHash(), codec.eval(), VideoShape(32, 48))


def soon(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it holds within this time: what other threads do takes longer on a busy machine."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def free_port() -> int:
    """Of those that no outgoing connection is given, so that none takes it before somebody listens there."""
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")


@pytest.fixture
def pytorchs_attention(monkeypatch) -> None:
    """Attention as on other devices, also where a CPU multiplies in bfloat16 without tiles."""
    monkeypatch.setattr("deepforcing.plain_attention.WITHOUT_TILES", False)


@pytest.fixture
def drop_policy(tmp_path, monkeypatch) -> Iterator[Callable[[str, str], None]]:
    """Takes a module's name and text, which then counts as a file in the policies' folder until the test is over."""
    package, dropped = deepforcing.policies, []
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

    def drop(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        dropped.append(name)

    yield drop
    for name in dropped:
        sys.modules.pop(f"{package.__name__}.{name}", None)
        vars(package).pop(name, None)


@pytest.fixture
def no_cuda(monkeypatch) -> None:
    """A machine without CUDA, whatever this one has."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def pipeline() -> Pipeline:
    return small_pipeline()


@pytest.fixture(scope="session")
def replicas():
    """Of the small model, on Ray; which has to be there."""
    from on_ray import small_replicas

    with small_replicas() as replicas:
        yield replicas


# For tests/ui, which cannot have a conftest of its own: this one is imported by its name.


@pytest.fixture(scope="module")
def browser():
    from chromium import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright  # where there is none, `browsing` has skipped the module

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def trouble():
    """Errors of the console and dialogs: there are none."""
    told = []
    yield told
    assert not told


@pytest.fixture
def page(app, browser, trouble):
    """A fresh session of the module's `app`."""
    from chromium import visit

    page = visit(app, browser, trouble)
    yield page
    page.close()
