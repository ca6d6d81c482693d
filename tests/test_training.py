"""World, teacher forcing, optimisers, bundle: real classes at tiny sizes."""

import json
import pickle
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import CHANNELS, TEXT_DIM, small_transformer

from deepforcing.attention import Prompt
from deepforcing.captions import MOTIONS, PLACES, SUBJECTS, TIMES, Caption, sample_caption
from deepforcing.config import Geometry, Sampling
from deepforcing.models.tiny_classifier import Classifier, load_classifier
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import generate_long_video, load_pipeline
from deepforcing.policies import SlidingWindow
from deepforcing.training import dit_stage
from deepforcing.training.bundle import Bundle, ModelCard, load_bundle, new_transformer, save_bundle
from deepforcing.training.classifier import classifier_loss
from deepforcing.training.data import caption_of, encode_clips, load_latents, render_clips
from deepforcing.training.motion import progress, subject_path
from deepforcing.training.optim import Average, Muon, orthogonalise
from deepforcing.training.progress import Clock
from deepforcing.training.recipe import SOURCES, STAGES, Recipe
from deepforcing.training.teacher import predict
from deepforcing.training.world import render

RED_BALL = Caption("ball", "red", "circling", "hills", "day")


def test_a_seed_gives_one_clip():
    clip = render(RED_BALL, 1, 32, 5)
    assert clip.shape == (5, 32, 32, 3) and clip.dtype == np.uint8
    assert np.array_equal(clip, render(RED_BALL, 1, 32, 5))
    assert not np.array_equal(clip, render(RED_BALL, 2, 32, 5))


@pytest.mark.parametrize("place", PLACES)
def test_every_subject_place_and_time_is_drawn(place):
    frames = [
        render(Caption(subject, "red", "rising", place, time), 3, 24, 1)[0]
        for subject, time in zip(SUBJECTS, list(TIMES) * 2, strict=True)
    ]
    assert all(frame.std() > 15 for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == len(frames)


@pytest.mark.parametrize("camera", ["left", "right"])
def test_a_panning_camera_moves_the_ground(camera):
    clip = render(replace(RED_BALL, camera=camera), 5, 32).astype(float)
    assert np.abs(clip[-1, -6:] - clip[0, -6:]).mean() > 1


@pytest.mark.parametrize("motion", MOTIONS)
def test_motion_wanders(motion):
    """Two clips of one caption differ in path and pace, and something moves in each second."""
    one, other = (subject_path(np.random.default_rng(seed), 81, motion, 0.2) for seed in (1, 2))
    assert np.abs((one.x - one.x[0]) - (other.x - other.x[0])).max() > 0.01
    moved = np.hypot(np.diff(one.x), np.diff(one.y))
    assert all(second.max() > 1e-3 for second in np.split(moved, 5))


def test_pace_pauses_and_hurries():
    steps = np.concatenate([np.diff(progress(np.random.default_rng(i), 81)) for i in range(20)]) * 16
    assert steps.min() == 0 and steps.max() > 1.8 and 0.8 < steps.mean() < 1.2


def test_latents_on_disk_keep_their_captions(tmp_path):
    clips = render_clips(tmp_path / "pixels.npy", 7, 3, 16, 5, workers=1)
    codec = TinyCodec(CodecConfig(latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8)))
    encode_clips(tmp_path / "latents.npy", clips, codec, 7, batch=2)
    data = load_latents(tmp_path / "latents.npy")
    assert data.latents.shape == (3, 2, 4, 2, 2) and data.regions.shape == (3, 2, 2, 2)
    assert data.captions == [caption_of(seed) for seed in (7, 8, 9)]


@pytest.fixture
def wan():
    model = small_transformer().eval().requires_grad_(False)
    torch.manual_seed(2)
    torch.nn.init.normal_(model.proj_out.weight)
    return model


def latents(batch: int = 2, frames: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, CHANNELS, frames, 4, 6, generator=torch.Generator().manual_seed(seed))


TEXT = torch.randn(2, 6, TEXT_DIM, generator=torch.Generator().manual_seed(9))


def test_one_chunk_is_the_stock_forward(wan):
    x, sigma = latents(frames=3), torch.tensor([[0.3], [0.9]])
    stock = wan(x, (1000 * sigma).expand(-1, 18), TEXT).sample
    torch.testing.assert_close(predict(wan, x, sigma, TEXT), stock, atol=1e-5, rtol=1e-5)


def test_chunks_see_their_history_and_nothing_else(wan):
    x, history, sigma = latents(), latents(frames=6, seed=1), torch.rand(2, 3)
    base = predict(wan, x, sigma, TEXT, history)
    later, past = x.clone(), history.clone()
    later[:, :, 6:], past[:, :, 3:] = 0, 0
    change = (predict(wan, later, sigma, TEXT, history) - base).abs().amax((0, 1, 3, 4))
    assert change[:6].max() == 0 and change[6:].min() > 0
    change = (predict(wan, x, sigma, TEXT, past) - base).abs().amax((0, 1, 3, 4))
    assert change[:6].max() == 0 and change[6:].min() > 0


def test_teacher_forcing_equals_the_cached_pipeline(wan):
    x, history, levels = latents(1), latents(1, 6, seed=1), (0.9, 0.5, 0.7)
    taught = predict(wan, x, torch.tensor([levels]), TEXT[:1], history)
    causal = CausalWan(wan, Sampling(prediction="x0"))
    cache, prompt = causal.new_cache(SlidingWindow(), Geometry(2, 3)), Prompt("", TEXT[:1])
    for chunk, (noisy, sigma) in enumerate(zip(x.split(3, 2), levels, strict=True)):
        clean = noisy - sigma * causal.flow(noisy, 1000 * sigma, cache, prompt)
        torch.testing.assert_close(clean, taught[:, :, 3 * chunk : 3 * chunk + 3], atol=1e-4, rtol=1e-4)
        if chunk < 2:
            causal.remember(history[:, :, 3 * chunk : 3 * chunk + 3], cache, prompt)


def small_model() -> dit_stage.TinyModel:
    return dit_stage.TinyModel(small_transformer(), TinyTextEncoder(TinyTextConfig(width=TEXT_DIM, heads=2, layers=1)))


def write_latents(folder, name: str, count: int, frames: int) -> None:
    rng = np.random.default_rng(0)
    captions = [sample_caption(rng) for _ in range(count)]
    np.save(folder / f"{name}.npy", np.full((count, frames, CHANNELS, 4, 4), 0.5, np.float16))
    np.save(folder / f"{name}.regions.npy", np.zeros((count, frames, 4, 4), bool))
    (folder / f"{name}.jsonl").write_text("\n".join(json.dumps(asdict(c)) for c in captions))


@torch.no_grad()
def error_from_noise(model: dit_stage.TinyModel) -> float:
    x, sigma = latents(1, 1)[..., :4], torch.ones(1, 1)
    return (predict(model.transformer, x, sigma, model.text.encode([""])) - 0.5).square().mean().item()


def test_training_learns_and_continues(tmp_path):
    write_latents(tmp_path, "clips", 4, 9)
    stage = dit_stage.Stage("clips", 3.0, (dit_stage.Batch("clips", 4, 2), dit_stage.Batch("clips", 4, 0)))
    config = dit_stage.DitTraining((stage,), muon_lr=0.01, adam_lr=0.01)
    start = small_model()
    before, model = error_from_noise(start), dit_stage.train_dit(start, config, tmp_path)
    assert error_from_noise(model) < 0.5 * before
    again = dit_stage.train_dit(small_model(), config, tmp_path)  # its time is spent: the checkpoint comes back
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_guided_targets_move_with_what_the_caption_changes():
    model, x, sigma = small_model(), latents(2, 3), torch.full((2, 1), 0.7)
    torch.nn.init.normal_(model.transformer.proj_out.weight)
    prompts, clean = ["", "a red ball"], latents(2, 3, seed=1)
    predicted = predict(model.transformer, x, sigma, model.text.encode(prompts)).detach()
    blind = predict(model.transformer, x, sigma, model.text.encode(["", ""])).detach()
    target = dit_stage.guided(model, predicted, clean, prompts, x, sigma, None, 0.5)
    assert torch.equal(target[0], clean[0])
    torch.testing.assert_close(target[1], clean[1] + 0.5 * (predicted[1] - blind[1]))
    assert (target[1] - clean[1]).abs().max() > 1e-4
    assert torch.equal(dit_stage.guided(model, predicted, clean, prompts, x, sigma, None, 0.0), clean)


def test_noise_levels_hit_the_sampling_steps():
    config = dit_stage.DitTraining((), shifts=(3.0,))
    sigma = dit_stage.sample_sigma((4000, 1), config)
    steps = dit_stage.warp(torch.tensor(config.steps), 3.0)
    assert 0.45 < torch.isin(sigma, steps).float().mean() < 0.55 and sigma.min() > 0 and sigma.max() <= 1


def test_bundle_round_trip(tmp_path):
    codec, text = (
        TinyCodec(CodecConfig(latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8))),
        TinyTextEncoder(),
    )
    transformer = new_transformer(text.config, codec.config)
    save_bundle(tmp_path, Bundle(ModelCard(shift=2.0), transformer, text, codec))
    found = load_bundle(tmp_path)
    card, loaded, text2, codec2 = found.card, found.transformer, found.text, found.codec
    assert card.shift == 2.0 and codec2.config == codec.config and text2.config == text.config
    torch.testing.assert_close(loaded.state_dict(), transformer.state_dict(), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(codec2.state_dict(), codec.state_dict(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("fresh", [True, False])
def test_the_whole_recipe_makes_a_model_that_streams(tmp_path, fresh):
    """Every stage in turn, on a few small clips, for a second each; then the folder is loaded as users do."""
    sizes = dict.fromkeys(SOURCES, 32) | {"codec": 96}
    sources = {n: replace(s, count=3, size=sizes[n], decoded=min(2, s.decoded)) for n, s in SOURCES.items()}
    recipe = Recipe(
        tmp_path / "work",
        tmp_path / "model",
        workers=1,
        fresh=fresh,
        sources=sources,
        codec_minutes=0.01,
        transformer_minutes=0.01,
        distil_minutes=0.03,
        classifier_minutes=0.01,
    )
    for name, stage in STAGES.items():
        stage(recipe)
        if name == "transformer":
            teacher = load_bundle(recipe.output).transformer.state_dict()
    learnt = load_bundle(recipe.output)
    assert all(torch.equal(value, teacher[name]) for name, value in learnt.teacher.state_dict().items())
    pipeline = load_pipeline(tmp_path / "model")
    frames = [chunk.frames for chunk in generate_long_video(pipeline, "a red ball", num_frames=21)]
    assert sum(map(len, frames)) == 21 and frames[0].shape[1:] == (96, 96, 3)
    assert set(load_classifier(tmp_path / "model" / "classifier.safetensors").read(torch.rand(2, 3, 96, 96)))


def test_a_recipe_can_be_sent_to_other_processes(tmp_path):
    assert pickle.loads(pickle.dumps(Recipe(tmp_path))).sources == SOURCES


def test_orthogonalised_updates_have_even_singular_values():
    values = torch.linalg.svdvals(orthogonalise(torch.randn(16, 48, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5 and values.max() < 1.3


def test_muon_and_average_go_downhill():
    torch.manual_seed(0)
    layer = torch.nn.Linear(4, 4, bias=False)
    optimizer, average = Muon(layer.parameters(), 0.05), Average(layer, 0.5)
    for _ in range(60):
        layer.weight.square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(layer)
    assert layer.weight.norm() < 0.3 and torch.allclose(average.module.weight, layer.weight, atol=0.2)


def at(share: float, **options) -> Clock:
    clock = Clock(1000, spent=1000 * share, **options)
    clock.tick()
    return clock


def test_clock_warms_up_and_decays():
    assert at(0, warmup=20).factor() < 0.1
    assert at(0.5, decay_from=0.5).factor() == pytest.approx(1, abs=0.01)
    assert at(1, floor=0.02).factor() == pytest.approx(0.02) and at(1.01).over and not at(0.9).over


def test_classifier_reads_every_attribute():
    torch.manual_seed(0)
    model = Classifier((8, 8, 8, 8))
    frames = torch.rand(4, 3, 32, 32)
    loss, right = classifier_loss(model, frames, [RED_BALL] * 4)
    assert loss.isfinite() and 0 <= right <= 1
    assert set(model.read(frames)) == {"subject", "colour", "place", "time"}
