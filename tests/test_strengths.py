"""How strongly a LoRA is in the weights changes while a run goes on, exactly, and for that run alone."""

from itertools import islice

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_wan import save_small_wan, small_transformer
from test_loading import folder as folder_of_a_tiny_model  # noqa: F401
from test_run_settings import SMALL

from deepforcing import Chunk, Loading, Past, SettingsChanged, SettingsError, VideoStream, load_pipeline
from deepforcing.going_on import NONE
from deepforcing.models.placement import store_in_fp8
from deepforcing.pipeline import long_video
from deepforcing.run_settings import RunSettings

CPU = torch.device("cpu")
SIZE = {"height": 32, "width": 48}
QUERY = "blocks.0.attn1.to_q.weight"
NAMES = {"self_attn.q": "attn1.to_q", "cross_attn.k": "attn2.to_k", "ffn.0": "ffn.net.0.proj"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small model's folder, and two LoRAs, of which one changes how the timestep is embedded."""
    folder = tmp_path_factory.mktemp("strong")
    weights, halves = small_transformer().state_dict(), {}
    torch.manual_seed(3)
    for wans, ours in NAMES.items():
        outputs, inputs = weights[f"blocks.0.{ours}.weight"].shape
        halves[f"blocks.0.{wans}.lora_A.weight"] = torch.randn(2, inputs)
        halves[f"blocks.0.{wans}.lora_B.weight"] = torch.randn(outputs, 2)
    save_file(halves, folder / "style.safetensors")
    added = torch.randn(weights["condition_embedder.time_proj.weight"].shape)
    save_file({"time_projection.1.diff": added}, folder / "time.safetensors")
    return save_small_wan(folder / "model"), folder / "style.safetensors", folder / "time.safetensors"


def loaded(files, *strengths):
    model, *loras = files
    return load_pipeline(model, CPU, loading=Loading(**SIZE, loras=tuple(zip(loras, strengths, strict=True))))


def video(pipeline, changes=None, chunks=2, past=NONE):
    """A run's events. changes: strengths before a chunk, by its number."""
    settings = RunSettings(SMALL)

    def prompt_for(index):
        settings.change(**(changes or {}).get(index, {}))
        return "a"

    return list(long_video(pipeline, prompt_for, settings, 9 + 12 * (chunks - 1), 7, False, False, past))


def latents(events):
    return [event.latents for event in events if isinstance(event, Chunk)]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(latents(one), latents(other), strict=True))


def test_weights_are_those_of_a_model_that_was_loaded_so_however_often_they_change(files):
    pipeline = loaded(files, 1.0, 0.5)
    for strengths in ((0.3, 0.0), (2.0, -1.0), (0.3, 0.5)):
        pipeline.denoiser.strengths.set(strengths)
        found, expected = (p.denoiser.transformer.state_dict() for p in (pipeline, loaded(files, *strengths)))
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
        joined = [p.denoiser.transformer.blocks[0].attn1.joined_weight for p in (pipeline, loaded(files, *strengths))]
        assert torch.equal(*joined)


def test_a_change_before_the_first_chunk_is_as_if_it_had_been_loaded_so(files):
    pipeline = loaded(files, 1.0, 0.5)
    events = video(pipeline, {0: {"loras": (0.3, 0.0)}})
    assert events[0] == SettingsChanged(
        0, {"lora 1: style.safetensors": 1.0, "lora 2: time.safetensors": 0.5}, dict(_named(0.3, 0.0))
    )
    assert events[0].words.startswith("lora 1: style.safetensors 1.0 → 0.3")
    assert same(events, video(loaded(files, 0.3, 0.0))) and not same(events, video(loaded(files, 1.0, 0.5)))
    assert same(video(pipeline), video(loaded(files, 1.0, 0.5))), "the next run has what was loaded"


def test_a_stream_may_begin_with_other_strengths_which_are_told_first(files):
    def begun(pipeline, **more):
        with VideoStream(pipeline, "a", policy=SMALL, num_frames=21, seed=7, probe=False, **more) as stream:
            return list(stream)

    pipeline = loaded(files, 1.0, 0.5)
    _, changed, *rest = begun(pipeline, loras=(0.3, 0.0))
    assert changed == SettingsChanged(0, _named(1.0, 0.5), _named(0.3, 0.0)) and same(
        rest, video(loaded(files, 0.3, 0.0))
    )
    assert isinstance(begun(pipeline, loras=(1, 0.5))[1], Chunk), "as loaded is no change"
    for wrong in ((float("nan"), 0.5), (0.3,)):
        with pytest.raises(SettingsError):
            VideoStream(pipeline, "a", policy=SMALL, loras=wrong)


def test_the_embedded_models_layout_takes_them_too(folder_of_a_tiny_model, tmp_path):  # noqa: F811
    weight = load_pipeline(folder_of_a_tiny_model, CPU).denoiser.transformer.state_dict()[QUERY]
    halves = {"lora_A": torch.randn(2, weight.shape[1]), "lora_B": torch.randn(weight.shape[0], 2)}
    style = tmp_path / "style.safetensors"
    save_file({f"transformer.blocks.0.attn1.to_q.{half}.weight": value for half, value in halves.items()}, style)
    pipeline = load_pipeline(folder_of_a_tiny_model, CPU, Loading(loras=((style, 0.5),)))
    made = pipeline.denoiser.transformer.state_dict()[QUERY]
    merged = weight.float() + 0.5 * halves["lora_B"] @ halves["lora_A"]
    assert torch.allclose(made.float(), merged, atol=max(1e-5, torch.finfo(made.dtype).eps))
    assert pipeline.weights != load_pipeline(folder_of_a_tiny_model, CPU).weights
    weights = pipeline.weights
    with VideoStream(pipeline, "a red balloon", policy=SMALL, num_frames=9, loras=(0.0,)) as stream:
        assert stream.get().weights == weights, "of the model as it was loaded"
        list(stream)
    assert torch.equal(pipeline.denoiser.transformer.state_dict()[QUERY], weight)


def _named(style, time):
    return {"lora 1: style.safetensors": style, "lora 2: time.safetensors": time}


@pytest.mark.parametrize("strengths", [(0.0, 0.5), (1.0, 0.0)])
def test_from_its_chunk_on_everything_is_of_the_new_weights(files, strengths):
    """In a new scene, of which nothing is older: the prompt's projections and what timesteps do, too."""
    frames = {1: {"anew": True}}
    changed = video(loaded(files, 1.0, 0.5), {1: {"loras": strengths, "anew": True}})
    was, now = video(loaded(files, 1.0, 0.5), frames), video(loaded(files, *strengths), frames)
    assert np.array_equal(latents(changed)[0], latents(was)[0])
    assert not np.array_equal(latents(changed)[1], latents(was)[1])
    assert all(np.array_equal(a, b) for a, b in zip(latents(changed)[1:], latents(now)[1:], strict=True))
    kept = video(loaded(files, 1.0, 0.5), {0: {"loras": strengths}, 1: {"anew": True}})
    assert same(kept, now), "a new scene keeps the strengths"


def test_what_timesteps_do_is_of_the_new_weights_while_the_cache_stays(files):
    was, changed = video(loaded(files, 1.0, 0.5)), video(loaded(files, 1.0, 0.5), {1: {"loras": (1.0, 0.0)}})
    assert not np.array_equal(latents(changed)[1], latents(was)[1])


def test_a_run_that_is_gone_on_with_changes_them_again(files):
    whole = video(loaded(files, 1.0, 0.5), {1: {"loras": (0.2, 0.5)}}, 4)
    past = Past.of(whole[:4])  # three chunks and a change
    assert same(video(loaded(files, 1.0, 0.5), chunks=4, past=past), whole)


def test_two_runs_of_one_model_have_each_its_own(files):
    pipeline = loaded(files, 1.0, 0.5)
    settings = RunSettings(SMALL), RunSettings(SMALL)

    def prompt_for(index):
        if index == 1:
            settings[0].change(loras=(0.0, 0.0))
        return "a"

    runs = [
        long_video(pipeline, ask, own, 21, 7, False, False, NONE)
        for ask, own in zip((prompt_for, lambda index: "a"), settings, strict=True)
    ]
    first, second = [], []
    for _ in range(2):
        first += islice(runs[0], 1)
        second += islice(runs[1], 1)
    first += runs[0]
    assert same(second, video(loaded(files, 1.0, 0.5)))
    assert same(first, video(loaded(files, 1.0, 0.5), {1: {"loras": (0.0, 0.0)}}))


def test_strengths_that_cannot_be_are_refused_in_words(files, tmp_path):
    for pipeline, wrong, words in (
        (load_pipeline(files[0], CPU, loading=Loading(**SIZE)), (1.0,), "this model has no LoRA"),
        (loaded(files, 1.0, 1.0), (1.0,), "expected the strengths of 2 LoRAs, not 1"),
        (loaded(files, 1.0, 1.0), (1.0, "much"), "the strength of a LoRA is a number from -10 to 10, not 'much'"),
    ):
        with VideoStream(pipeline, "a", policy=SMALL, max_queued=0) as stream:
            stream.get()
            with pytest.raises(SettingsError, match=words):
                stream.change(loras=wrong)
    stored = loaded(files, 1.0, 1.0)
    store_in_fp8(stored.denoiser)
    with pytest.raises(SettingsError, match="settled at loading"):
        video(stored, {0: {"loras": (0.0, 0.0)}})
    assert video(stored, {0: {"loras": (1.0, 1.0)}}), "as they were loaded"


def test_a_lora_that_is_gone_is_said_and_the_run_goes_on(files, tmp_path):
    gone = tmp_path / "gone.safetensors"
    gone.write_bytes(files[1].read_bytes())
    pipeline = loaded((files[0], gone), 1.0)
    gone.unlink()
    with pytest.raises(SettingsError, match=r"gone\.safetensors"):
        video(pipeline, {1: {"loras": (0.5,), "switch": "sink"}})
    assert pipeline.denoiser.strengths.now == (1.0,)
