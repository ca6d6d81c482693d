import runpy
import shutil
import socket
from pathlib import Path

import gradio as gr
import pytest
import torch
from small_wan import CHECKPOINT, save_small_wan

import ui.serve as command
from deepforcing import DeepForcing, needs
from ui.app import App


@pytest.fixture
def built(pipeline):
    return App(pipeline)


def test_the_page_builds_with_every_listener(built):
    config = built.blocks.get_config_file()
    assert len(config["dependencies"]) >= 15
    assert built.page.player.props["gauges"] and built.page.player.props["settings"] == "true"


def test_settings_are_shown_where_the_policy_has_them(built):
    updates = dict(zip(built.page.settings, built.choose_policy("attention-sink"), strict=True))
    assert updates["sink"]["visible"] and updates["sink"]["value"] == 3
    assert not updates["budget"]["visible"] and "value" not in updates["budget"]


def test_contradictions_are_said_and_cannot_start(built):
    values = [control.value for control in built.page.settings.values()]

    def check(policy, seed):
        return built.check(gr.Request(session_hash="a"), seed, "endless", "keep", False, 4, policy, *values)[:4]

    strip, trouble, seed_trouble, generate = check("deep-forcing", "7")
    assert "current" in strip and not trouble and not seed_trouble and generate["interactive"]
    values[list(built.page.settings).index("recent")] = 8
    _, trouble, _, generate = check("deep-forcing", "7")
    assert "sink 10 + recent 8 leaves nothing of budget 16" in trouble and not generate["interactive"]
    _, _, seed_trouble, generate = check("self-forcing", "<b>seven</b>")
    assert "&lt;b&gt;" in seed_trouble and not generate["interactive"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "/no/such/model"], "unknown model"),
        (["--model", 300 * "long"], "[Errno "),
        (["--model", "self-forcin"], "unknown model 'self-forcin': expected tiny, self-forcing, longlive"),
        (["--model", "tiny", "--size", "480"], "--size must be HEIGHTxWIDTH"),
        (["--model", "tiny", "--compile", "--weights", "offload"], "weights that are offloaded"),
        (["--model", "tiny", "--tier", "16"], "a tiny model leaves no choice of"),
        (["--model", "self-forcing", "--tier", "12"], "unknown tier '12': expected 80, 24, 16, 8"),
        (["--model", "self-forcing", "--size", "484x832"], "a video of 484x832 pixels (height x width)"),
        (
            ["--model", "self-forcing"],
            "Self Forcing 1.3B, with 1,419 million transformer parameters, expects",
        ),
        (["--model", "longlive", "--device", "cuda"], "--device cuda expects a GPU with CUDA; PyTorch"),
        (["--model", "tiny", "--device", "cuda"], "--device cuda expects a GPU with CUDA; PyTorch"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(arguments, words, no_cuda, capsys):
    assert command.main(arguments) == 2
    written = capsys.readouterr()
    assert written.err.startswith(f"deepforcing: {words}") and written.err.count("\n") == 1 and not written.out


def test_without_a_gpu_a_large_model_is_offered_only_if_the_cpu_is_asked_for(no_cuda, capsys):
    command.open_app(command.read_arguments(["--model", "self-forcing", "--device", "cpu"], {}))
    assert "**It runs on the CPU**" in capsys.readouterr().out


def test_zero_gpu_is_not_asked_for_a_gpu_that_only_its_workers_have(no_cuda, monkeypatch, pipeline):
    monkeypatch.setattr(command, "on_zero_gpu", lambda: True)
    monkeypatch.setattr(needs, "fetch", lambda *_, **__: {})
    monkeypatch.setattr(needs, "load_pipeline", lambda model, loading: pipeline)
    built = command.open_app(command.read_arguments(["--model", "self-forcing", "--accept-licence"], {}))
    assert built.pipeline is pipeline


def test_a_port_in_use_is_one_line_and_status_2(built, monkeypatch, capsys):
    monkeypatch.setattr(command, "open_app", lambda asked: built)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert command.main(["--port", str(other.getsockname()[1])]) == 2
    assert capsys.readouterr().err.startswith("deepforcing: Cannot find empty port")


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def no_config(folder):
    (folder / "vae" / "config.json").unlink()


def half(folder):
    path = folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def anothers(folder):
    torch.save({"generator": {"layers.0.weight": torch.zeros(2)}}, folder / CHECKPOINT)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (empty, "holds no model"),
        (no_config, "lacks vae/config.json"),
        (half, "self_forcing_dmd.pt is damaged or incomplete"),
        (
            anothers,
            "self_forcing_dmd.pt is not a Wan transformer: expected patch_embedding.weight, found layers.0.weight",
        ),
    ],
)
def test_a_path_that_cannot_be_used_is_one_line_and_status_2_before_the_page(tmp_path, harm, words, capsys):
    folder = save_small_wan(tmp_path / "wan")
    harm(folder)
    capsys.readouterr()  # saving shows a bar
    assert command.main(["--model", str(folder), "--size", "32x48"]) == 2
    written = capsys.readouterr()
    assert written.err.startswith("deepforcing: ") and words in written.err and written.err.count("\n") == 1
    assert not written.out


def test_a_path_opens_with_its_forecast_and_loads_by_itself(tmp_path, monkeypatch, capsys):
    folder = save_small_wan(tmp_path / "mine")
    capsys.readouterr()
    built = command.open_app(command.read_arguments(["--model", str(folder), "--size", "32x48"], {}))
    told = capsys.readouterr().out
    assert told == f"{built.loader.offer.text}\n" and "48 × 32 and a window of 21" in told
    assert built.pipeline is None and built.policy == DeepForcing()
    monkeypatch.setattr(built.blocks, "launch", lambda **_: None)
    built.launch()
    built.loader.join(60)
    assert built.pipeline.name == "mine" and built.look()[5]["visible"]


def test_a_space_asks_by_a_variable():
    options = {"DEEPFORCING_OPTIONS": "--model longlive --accept-licence --text cpu"}
    asked = command.read_arguments([], options)
    assert asked.model == "longlive" and asked.accept_licence and asked.text == "cpu"
    assert command.read_arguments(["--model", "tiny"], options).model == "tiny"
    asked = command.read_arguments([], {})
    assert asked.model == "tiny" and not asked.accept_licence


@pytest.mark.parametrize("asked", ["0", "two", "3-1"])
def test_replicas_that_cannot_be_are_refused(asked, capsys):
    assert command.main(["--replicas", asked]) == 2
    assert "--replicas must be a number" in capsys.readouterr().err


def test_a_space_runs_the_same(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["app.py", "--replicas", "0"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(Path(__file__).parents[1] / "app.py"), run_name="__main__")
    assert "deepforcing: --replicas must be a number" in capsys.readouterr().err


def test_replicas_without_ray_say_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main(["--replicas", "2"]) == 2
    assert 'pip install "deepforcing[serve]"' in capsys.readouterr().err
