"""Blocks compiled ahead of time, as on ZeroGPU: with the package `spaces` itself, whose compiler is stood in for."""

import copy
import importlib
import sys
from itertools import islice

import pytest
import torch

pytest.importorskip("spaces", reason="the package of ZeroGPU is not installed: pip install spaces")

import spaces
from ahead import PACKAGE, without_cuda

from deepforcing import DeepForcing, SettingsError, generate_long_video
from deepforcing.models.placement import place_weights
from ui.hosting.ahead import SECONDS
from ui.hosting.zero_gpu import make_ready

POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


class Archive:
    """What stands for a compiled block: its exported program, with weights that are handed in, and its calls."""

    def __init__(self, program, harm):
        self.archive_file, self.program, self.harm, self.lengths = self, program, harm, []

    def with_weights(self, archive, weights):
        module = copy.deepcopy(self.program.module())
        module.load_state_dict(weights.constants_map, strict=True)

        def call(*inputs):
            self.lengths.append(inputs[4].shape[1])
            return self.harm(module(*inputs))

        return call


class Package:
    """The package, with its compiler recorded. harm: what becomes of what compiled blocks return."""

    def __init__(self, aoti, monkeypatch):
        self.made, self.asked, self.harm = [], [], lambda out: out
        monkeypatch.setattr(aoti, "aoti_compile", self.compile)
        monkeypatch.setattr(aoti, "ZeroGPUCompiledModel", lambda *given: self.made[-1].with_weights(*given))
        monkeypatch.setattr(spaces, "GPU", lambda **how: self.asked.append(how) or (lambda task: task))

    def compile(self, program):
        self.made.append(Archive(program, self.harm))
        return self.made[-1]


@pytest.fixture
def package(monkeypatch):
    """Of it only the part that compiles, since the rest expects CUDA."""
    monkeypatch.setitem(sys.modules, PACKAGE, without_cuda())
    yield Package(importlib.import_module(f"{PACKAGE}.aoti"), monkeypatch)
    sys.modules.pop(f"{PACKAGE}.aoti")


def video(pipeline, probe=False, chunks=10):
    made = generate_long_video(pipeline, "a red balloon", policy=POLICY, seed=3, probe=probe)
    return torch.stack([torch.from_numpy(chunk.latents) for chunk in islice(made, chunks)])


def test_one_compiled_block_serves_all_at_any_length_of_history(pipeline, package):
    plain = video(pipeline)
    make_ready(pipeline, compiled=True)
    (archive,) = package.made
    assert package.asked == [{"duration": SECONDS}]
    archive.lengths.clear()
    assert torch.equal(video(pipeline), plain)
    assert len(set(archive.lengths)) > 2 and len(archive.lengths) > 2 * 4 * 6, "two blocks, most passes"
    seen = len(archive.lengths)
    assert torch.equal(video(pipeline, probe=True), plain)
    assert seen / 2 < len(archive.lengths) - seen < seen, "passes that are probed are not compiled, others are"


@pytest.mark.parametrize(
    ("harm", "words"),
    [(lambda out: out.roll(1, 1), "they would make another video"), (lambda out: out * torch.nan, "no finite numbers")],
)
def test_what_would_make_another_video_is_not_used(pipeline, package, harm, words, caplog):
    plain, package.harm = video(pipeline), harm
    make_ready(pipeline, compiled=True)
    assert package.made[0].lengths and "blocks are not compiled: " in caplog.text and words in caplog.text
    assert torch.equal(video(pipeline), plain)


def test_what_cannot_be_compiled_is_said_and_works_as_before(pipeline, package, caplog):
    plain, package.made = video(pipeline), ()  # a tuple takes no more
    make_ready(pipeline, compiled=True)
    assert "blocks are not compiled: 'tuple' object has" in caplog.text and torch.equal(video(pipeline), plain)


def test_weights_that_come_in_as_a_block_runs_are_refused(pipeline, package):
    place_weights(pipeline.denoiser, "fp8", torch.device("cpu"))
    with pytest.raises(SettingsError, match="cannot be compiled"):
        make_ready(pipeline, compiled=True)
    make_ready(pipeline, compiled=False)
    assert not package.asked
