"""Distillation on the model's own history: real classes at a tiny size."""

from dataclasses import replace

import pytest
import torch
from tiny_recipe import SIZES, every_step_takes

from deepforcing.config import Sampling
from deepforcing.models.tiny_text import TinyTextEncoder
from deepforcing.models.wan import CausalWan
from deepforcing.training.bundle import load_bundle, new_bundle, new_transformer, save_bundle
from deepforcing.training.distil_stage import Distillation, Distiller, distil, matching_loss, noised
from deepforcing.training.dit_stage import Batch
from deepforcing.training.replay import replayed
from deepforcing.training.roll_out import RollOut, RollOuts
from deepforcing.training.teacher import predict

SAMPLING = Sampling(prediction="x0")
CONFIG = Distillation(1.5, (Batch("own", 2, 1, 0.5), Batch("own", 1, 2, 0.5)), warmup_steps=1, captions=9)
CHANNELS = SIZES.codec.latent_channels
SHAPE = (CHANNELS, 4, 4)


def small_transformer(seed: int = 0):
    torch.manual_seed(seed)
    net = new_transformer(SIZES)
    torch.nn.init.normal_(net.proj_out.weight, std=0.1)
    return net


@pytest.fixture
def distiller():
    net = small_transformer()
    return Distiller(net, net, TinyTextEncoder(SIZES.text), SAMPLING, CONFIG, SHAPE)


def rolled_out(sampling: Sampling, chunks: int, batch: int = 2) -> RollOut:
    text = torch.randn(batch, 6, SIZES.text.width, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    return RollOuts(CausalWan(small_transformer(), sampling), SHAPE)(text, chunks)


def test_a_roll_out_holds_the_inputs_of_the_steps_that_made_it():
    """Where the last step was picked, the teacher-forcing forward over the own history gives the chunk itself."""
    made = rolled_out(replace(SAMPLING, steps=(1000,)), 3)
    assert made.clean.shape == made.noisy.shape == (2, CHANNELS, 9, 4, 4) and made.history.shape[2] == 6
    with torch.no_grad():
        again = predict(small_transformer(), made.noisy, made.sigma, made.text, made.history)
    torch.testing.assert_close(again, made.clean, atol=1e-3, rtol=1e-3)


def test_the_last_step_leads_to_the_chunk_and_the_first_begins_with_noise():
    made = rolled_out(SAMPLING, 2, batch=24)
    with torch.no_grad():
        again = predict(small_transformer(), made.noisy, made.sigma, made.text, made.history)
    off = (again - made.clean).abs().unflatten(2, (2, 3)).amax((1, 3, 4, 5))
    last = made.sigma == made.sigma.min()
    assert 2 < last.sum() < 46 and off[last].max() < 1e-3 < off[~last].min()
    spread = made.noisy.unflatten(2, (2, 3)).std((1, 3, 4, 5))
    torch.testing.assert_close(spread[made.sigma == 1].mean(), torch.tensor(1.0), atol=0.05, rtol=0.05)


def test_a_first_chunk_has_no_history():
    made = rolled_out(SAMPLING, 1, batch=24)
    assert made.history is None
    torch.testing.assert_close(made.sigma.unique(), torch.tensor([0.625, 5 / 6, 0.9375, 1.0]))


def test_a_roll_out_follows_the_student_as_it_learns(distiller):
    before = [distiller.roll_out(1, 2) for _ in range(2) if torch.manual_seed(0)]
    torch.testing.assert_close(before[0].clean, before[1].clean)
    with torch.no_grad():
        distiller.student.proj_out.weight.mul_(-1)
    torch.manual_seed(0)
    assert (distiller.roll_out(1, 2).clean - before[0].clean).abs().max() > 0.1


def test_what_is_no_graph_runs_as_it_is(capsys, monkeypatch):
    work = lambda x: (2 * x,)  # noqa: E731
    assert replayed(work, torch.ones(1)) is work and not capsys.readouterr().out
    on_a_gpu_that_is_not_there = torch.ones(1).as_subclass(type("Cuda", (torch.Tensor,), {"is_cuda": True}))
    assert replayed(work, on_a_gpu_that_is_not_there) is work
    assert "no CUDA graph, going on without" in capsys.readouterr().out


def test_noise_is_added_at_the_level_it_says():
    clean = torch.zeros(64, CHANNELS, 6, 8, 8)
    noisy, sigma = noised(clean, 5.0)
    spread = noisy.unflatten(2, (2, 3)).std((1, 3, 4, 5))
    torch.testing.assert_close(spread, sigma, atol=0.05, rtol=0.1)
    assert sigma.min() > 0.02 and sigma.max() < 1


def test_the_loss_moves_clips_from_where_the_critic_sees_them_to_where_the_teacher_does():
    made = torch.zeros(1, 2, 3, 2, 2, requires_grad=True)
    real, fake = torch.full_like(made, 2.0), torch.full_like(made, -1.0)
    matching_loss(made, real, fake).backward()
    assert (made.grad < 0).all()  # downhill is towards the teacher's answer
    made.grad = None
    matching_loss(made, real, real).backward()
    assert made.grad.abs().max() == 0


def test_a_far_chunk_pulls_no_harder_than_a_near_one():
    made = torch.zeros(1, 1, 6, 1, 1, requires_grad=True)
    real = torch.cat([torch.full((1, 1, 3, 1, 1), 0.1), torch.full((1, 1, 3, 1, 1), 10.0)], 2)
    matching_loss(made, real, torch.zeros_like(real)).backward()
    near, far = made.grad.flatten().unflatten(0, (2, 3)).mean(1)
    torch.testing.assert_close(near, far)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(distiller):
    loss, made = distiller.student_loss(distiller.roll_out(2, 1))
    assert loss.item() == 0 and made.shape[2] == 6


def test_distilling_changes_the_student_only_and_goes_on_from_its_checkpoint(distiller, tmp_path, monkeypatch):
    every_step_takes(0.2, monkeypatch)
    teacher = {name: value.clone() for name, value in distiller.teacher.state_dict().items()}
    before = distiller.student.proj_out.weight.clone()
    student = distil(distiller, tmp_path)
    assert not torch.equal(student.proj_out.weight, before)
    assert all(torch.equal(value, teacher[name]) for name, value in distiller.teacher.state_dict().items())
    again = distil(distiller, tmp_path)  # its time is over
    torch.testing.assert_close(again.state_dict(), student.state_dict())


def test_a_bundle_keeps_its_teacher_until_the_transformer_is_trained_anew(tmp_path):
    start = new_bundle(SIZES)
    save_bundle(tmp_path, replace(start, teacher=start.transformer))
    found = load_bundle(tmp_path)
    torch.testing.assert_close(found.teacher.state_dict(), found.transformer.state_dict())
    save_bundle(tmp_path, start)
    assert load_bundle(tmp_path).teacher is None
