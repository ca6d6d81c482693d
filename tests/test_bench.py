"""The benchmark of published shapes, at the small one."""

import pytest
import torch

from deepforcing.__main__ import main
from deepforcing.bench import Row, bench_shape
from deepforcing.config import SettingsError
from deepforcing.models.shapes import SHAPES, random_components, random_taehv, random_vae

CPU = torch.device("cpu")


def test_every_competitor_is_measured_and_named():
    rows = {row.name: row.value for row in bench_shape("small", CPU, chunks=2, compiler="eager")}
    assert rows["model"].startswith("small shape, random weights, 112x64, CPU")
    assert rows["attention"] == "PyTorch"
    speeds = [
        f"DiT only, {policy}, {way}" for policy in ("self-forcing", "deep-forcing") for way in ("eager", "compiled")
    ]
    for name in [*speeds, "with no decoder", "with small decoder", "with full decoder"]:
        fps, spread = rows[name].split(" fps, ")
        low, middle, high = (float(number) for number in spread.split(" ms")[0].split(" / "))
        assert float(fps) > 0 and 0 < low <= middle <= high
    ratios = {name: float(value) for name, value in rows.items() if " / " in name}
    assert len(ratios) == 4 and all(ratio > 0 for ratio in ratios.values())
    assert sum(name.endswith("memory") for name in rows) == 3
    forecast = [float(value.split()[0]) for name, value in rows.items() if name.endswith("by the forecast")]
    assert forecast == sorted(forecast) and forecast[0] > 0  # without a decoder, with the small one, with the full one
    spent = {name.split(": ")[1]: float(v.split()[0]) for name, v in rows.items() if name.startswith("a chunk's time")}
    assert spent["attention"] > 0 and spent["linear"] > 0 and spent["rest"] > 0
    assert spent["kernels"] == pytest.approx(spent["attention"] + spent["linear"] + spent["rest"], abs=2)
    assert spent["wall"] == pytest.approx(spent["kernels"] + spent["between"], abs=2)


@pytest.mark.parametrize("make", [random_taehv, random_vae])
def test_random_decoders_fit_the_shape(make):
    latents = torch.zeros(1, 3, 16, 8, 14)
    frames, state = make("small", CPU, torch.float32).decode(latents)
    assert frames.shape == (1, 9, 3, 64, 112) and state is not None


def test_the_1_3b_shape_is_self_forcings():
    with torch.device("meta"):
        components = random_components("self-forcing", torch.device("meta"), torch.bfloat16)
    transformer = components.denoiser.transformer
    assert sum(p.numel() for p in transformer.parameters()) == 1_418_996_800
    assert next(transformer.parameters()).dtype == torch.bfloat16 and torch.get_default_dtype() == torch.float32
    assert components.denoiser.geometry(60, 104).tokens_per_frame == 1560


def test_an_unknown_shape_is_refused_in_one_line(capsys):
    assert main(["bench", "--shape", "huge"]) == 2
    assert capsys.readouterr().err == f"deepforcing: unknown shape 'huge'; there are {', '.join(SHAPES)}\n"
    with pytest.raises(SettingsError, match="unknown shape"):
        next(bench_shape("huge", CPU))


@pytest.mark.parametrize(("there", "more"), [(False, []), (True, ["--device", "cpu"])])
def test_without_cuda_the_small_shape_is_measured_and_said(capsys, monkeypatch, there, more):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr("deepforcing.commands.bench_shape", lambda *given: asked.append(given[:4]) or iter(()))
    assert main(["bench", "--shape", "self-forcing", "--chunks", "3", *more]) == 0
    assert asked == [("small", CPU, 3, None)] and "the shape 'small' instead" in capsys.readouterr().err


def test_cuda_that_is_asked_for_and_not_there_is_refused(capsys, no_cuda):
    assert main(["bench", "--shape", "self-forcing", "--device", "cuda"]) == 2
    assert capsys.readouterr().err.startswith("deepforcing: --device cuda expects a GPU with CUDA")


def test_a_quick_run_is_short_and_one_table(capsys, monkeypatch):
    asked = []

    def measured(name, device, chunks, *rest):
        asked.append(chunks)
        yield Row("model", "a small one")

    monkeypatch.setattr("deepforcing.commands.bench_shape", measured)
    assert main(["bench", "--shape", "small", "--device", "cpu", "--quick"]) == 0
    assert asked == [5] and capsys.readouterr().out == "| what | measured |\n|---|---|\n| model | a small one |\n"
    assert main(["bench", "--quick"]) == 2 and "add --shape self-forcing" in capsys.readouterr().err
