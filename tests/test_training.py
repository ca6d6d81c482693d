"""World, teacher forcing, optimisers, bundle: real classes at tiny sizes."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from conftest import CHANNELS, TEXT_DIM, small_transformer
from tiny_recipe import SIZES, every_step_takes

from deepforcing.attention import Prompt
from deepforcing.captions import MOTIONS, PLACES, SUBJECTS, TIMES, Caption, sample_caption
from deepforcing.config import Geometry, Sampling
from deepforcing.models.tiny_classifier import Classifier
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder
from deepforcing.models.wan import CausalWan
from deepforcing.policies import SlidingWindow
from deepforcing.training import dit_stage
from deepforcing.training.bank import Bank
from deepforcing.training.bundle import ModelCard, load_bundle, new_bundle, save_bundle
from deepforcing.training.classifier import Shown, classifier_loss, truth_of
from deepforcing.training.motion import progress, subject_path
from deepforcing.training.optim import Average, Muon, orthogonalise
from deepforcing.training.phrases import Phrases
from deepforcing.training.progress import Clock
from deepforcing.training.sizes import ModelSizes
from deepforcing.training.teacher import predict
from deepforcing.training.world import render

CPU = torch.device("cpu")
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
    rng, path = np.random.default_rng(0), folder / f"{name}_latents.npy"
    captions = [sample_caption(rng) for _ in range(count)]
    np.save(path, np.full((count, frames, CHANNELS, 4, 4), 0.5, np.float16))
    np.save(path.with_suffix(".regions.npy"), np.zeros((count, frames, 4, 4), bool))
    path.with_suffix(".jsonl").write_text("\n".join(json.dumps(asdict(c)) for c in captions))


@torch.no_grad()
def error_from_noise(model: dit_stage.TinyModel) -> float:
    x, sigma = latents(1, 1)[..., :4], torch.ones(1, 1)
    return (predict(model.transformer, x, sigma, model.text.encode([""])) - 0.5).square().mean().item()


def test_training_learns_and_continues(tmp_path, monkeypatch):
    every_step_takes(0.05, monkeypatch)
    write_latents(tmp_path, "clips", 4, 9)
    stage = dit_stage.Stage("clips", 1.0, (dit_stage.Batch("clips", 4, 2), dit_stage.Batch("clips", 4, 0)))
    config = dit_stage.DitTraining(2.0, (stage,), muon_lr=0.01, adam_lr=0.01)
    start = small_model()
    before, model = error_from_noise(start), dit_stage.train_dit(start, config, tmp_path, CPU)
    assert error_from_noise(model) < 0.5 * before
    again = dit_stage.train_dit(small_model(), config, tmp_path, CPU)  # its time is spent: the checkpoint comes back
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_clips_are_drawn_whole_and_half_of_them_from_their_beginning(tmp_path):
    write_latents(tmp_path, "clips", 2, 9)
    clips = np.arange(18, dtype=np.float16).reshape(2, 9, 1, 1, 1) * np.ones((1, 1, CHANNELS, 4, 4), np.float16)
    np.save(tmp_path / "clips_latents.npy", clips)
    torch.manual_seed(0)
    data = dit_stage.Latents(tmp_path, small_model().text, 0.0, CPU)
    lesson = data.sample(dit_stage.Batch("clips", 400, 1))
    starts = lesson.clean[:, 0, 0, 0, 0] % 9
    assert torch.equal(lesson.clean.diff(dim=2), torch.ones(400, CHANNELS, 2, 4, 4))
    assert 0.55 < (starts == 0).float().mean() < 0.78 and set(starts.tolist()) == {0, 3, 6}
    assert (data.sample(dit_stage.Batch("clips", 50, 0)).clean % 9 == 0).all()


def test_subjects_that_are_hard_to_draw_are_drawn_more_often(tmp_path):
    write_latents(tmp_path, "clips", 60, 3)
    captions = [json.loads(line)["subject"] for line in (tmp_path / "clips_latents.jsonl").read_text().splitlines()]
    birds = captions.count("bird")
    numbered = np.arange(60, dtype=np.float16)[:, None, None, None, None] * np.ones((1, 3, CHANNELS, 4, 4), np.float16)
    np.save(tmp_path / "clips_latents.npy", numbered)
    torch.manual_seed(0)
    lesson = dit_stage.Latents(tmp_path, small_model().text, 0.0, CPU).sample(dit_stage.Batch("clips", 2000, 1))
    seen = [captions[int(clip)] for clip in lesson.clean[:, 0, 0, 0, 0]]
    assert birds > 2
    assert seen.count("bird") / 2000 == pytest.approx(3 * birds / (3 * birds + 60 - birds), abs=0.05)


def test_a_caption_is_said_in_several_ways_and_sometimes_not_at_all():
    text = TinyTextEncoder()
    captions = [RED_BALL, replace(RED_BALL, colour="blue")]
    phrases = Phrases(text, captions, np.random.default_rng(0), CPU, variants=5)
    torch.manual_seed(0)
    tokens, present = phrases.sample(torch.tensor([0, 1] * 200), drop=0.2)
    known = [[text.config.vocabulary[token] for token in row] for row in tokens]
    sentences = [" ".join(row[:count]) for row, count in zip(known, present.sum(1).tolist(), strict=True)]
    red, blue = ({sentence for sentence in sentences[start::2] if sentence} for start in (0, 1))
    assert 2 < len(red) <= 5 and all("red" in sentence or "scarlet" in sentence for sentence in red)
    assert 2 < len(blue) <= 5 and all("blue" in sentence or "azure" in sentence for sentence in blue)
    assert 0.12 < sentences.count("") / 400 < 0.28
    with torch.no_grad():
        torch.testing.assert_close(text(tokens, present), text.encode(sentences))


def test_guided_targets_move_with_what_the_caption_changes():
    model, x, sigma = small_model(), latents(2, 3), torch.full((2, 1), 0.7)
    torch.nn.init.normal_(model.transformer.proj_out.weight)
    clean, text = latents(2, 3, seed=1), model.text.encode(["", "a red ball"]).detach()
    predicted = predict(model.transformer, x, sigma, text).detach()
    blind = dit_stage.unprompted(model, x, sigma, text, None)
    torch.testing.assert_close(blind[0], predicted[0])
    target = dit_stage.guided(clean, predicted, blind, torch.tensor([False, True]), 0.5)
    assert torch.equal(target[0], clean[0])
    torch.testing.assert_close(target[1], clean[1] + 0.5 * (predicted[1] - blind[1]))
    assert (target[1] - clean[1]).abs().max() > 1e-4


def test_noise_levels_hit_the_sampling_steps():
    config = dit_stage.DitTraining(1.0, (), shifts=(3.0,))
    torch.manual_seed(0)
    sigma = dit_stage.NoiseLevels(config, CPU).sample(4000, 1)
    steps = dit_stage.warp(torch.tensor(config.steps), 3.0)
    assert 0.45 < torch.isin(sigma, steps).float().mean() < 0.55 and sigma.min() > 0 and sigma.max() <= 1


def test_each_chunk_of_history_has_its_own_noise():
    """Levels are .4 u^2: half of the chunks have less than a tenth, a third more than .18, none more than .4."""
    torch.manual_seed(0)
    noise = dit_stage.dirty(torch.zeros(2000, CHANNELS, 6, 8, 8), 0.4).unflatten(2, (2, 3))
    level = noise.std((1, 3, 4, 5))  # [B, chunks]
    assert noise[:, :, 0, 0].std() == pytest.approx(noise[:, :, 0, 2].std(), rel=0.05)
    assert abs(torch.corrcoef(level.T)[0, 1]) < 0.1, "levels of a clip's chunks have nothing to do with one another"
    assert level.max() < 0.43 and (level < 0.1).float().mean() == pytest.approx(0.5, abs=0.04)
    assert (level > 0.178).float().mean() == pytest.approx(1 / 3, abs=0.04)


def test_bundle_round_trip(tmp_path):
    bundle = new_bundle(SIZES)
    save_bundle(tmp_path, replace(bundle, card=replace(bundle.card, shift=2.0)))
    found = load_bundle(tmp_path)
    assert found.card == ModelCard(SIZES.pixels, shift=2.0)
    assert found.codec.config == SIZES.codec and found.text.config == SIZES.text
    for part in ("transformer", "text", "codec"):
        mine, its = (getattr(source, part).state_dict() for source in (found, bundle))
        torch.testing.assert_close(mine, its, atol=1e-2, rtol=1e-2)


def test_a_new_model_has_the_size_that_it_is_asked_for():
    bundle = new_bundle(SIZES)
    assert bundle.transformer.config.num_layers == 1 and bundle.transformer.config.ffn_dim == 4 * 12
    assert ModelSizes().width == 320 and ModelSizes().side == 16 and ModelSizes().codec.decoder_blocks == (2, 2, 2)


def test_orthogonalised_updates_have_even_singular_values():
    values = torch.linalg.svdvals(orthogonalise(torch.randn(1, 16, 48, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(5, 12, 20), (5, 20, 12)])
def test_matrices_are_orthogonalised_together_as_one_by_one(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 5)[:, None, None]
    alone = torch.cat([orthogonalise(matrix[None]) for matrix in matrices])
    torch.testing.assert_close(orthogonalise(matrices), alone, atol=1e-5, rtol=1e-4)


SHAPES = ((6, 4), (4, 6), (6, 4), (6, 2, 2, 1), (6, 4))


def moved_by_muon(indices: tuple[int, ...]) -> list[torch.Tensor]:
    """Where three steps bring these of SHAPES, trained by one optimiser; gradients depend on the index alone."""
    parameters = [torch.nn.Parameter(torch.ones(SHAPES[index])) for index in indices]
    optimizer, noise = Muon(parameters, 0.1), [torch.Generator().manual_seed(index) for index in indices]
    for _ in range(3):
        for p, generator in zip(parameters, noise, strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
        optimizer.step()
    return [p.detach() for p in parameters]


def test_muon_moves_each_matrix_as_if_it_were_alone():
    together = moved_by_muon(tuple(range(len(SHAPES))))
    alone = [moved_by_muon((index,))[0] for index in range(len(SHAPES))]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[0], together[2])


def test_a_tall_matrix_moves_further():
    p = torch.nn.Parameter(torch.zeros(64, 4))
    p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    Muon([p], 1.0).step()
    assert torch.linalg.svdvals(p.detach()).min() > 0.5 * 4 and torch.linalg.svdvals(p.detach()).max() < 1.3 * 4


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
    loss, right = classifier_loss(model, frames, truth_of([RED_BALL] * 4, CPU))
    assert loss.isfinite() and 0 <= right <= 1
    assert set(model.read(frames)) == {"subject", "colour", "place", "time"}


def test_frames_come_with_what_they_show():
    captions = [RED_BALL, replace(RED_BALL, colour="blue", time="night")]
    pixels = np.stack([render(caption, 1, 32, 2) for caption in captions])
    shown = Shown(Bank(pixels, CPU), truth_of(captions, CPU))
    torch.manual_seed(0)
    frames, truth = shown.sample(16)
    dark = frames.mean((1, 2, 3)) < 0.5 * (pixels[0].mean() + pixels[1].mean()) / 255
    assert torch.equal(dark, truth["time"] == list(TIMES).index("night")) and 0 < dark.sum() < 16
