"""Distillation on the model's own history: real classes at a tiny size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CHANNELS

from deepforcing.config import Sampling
from deepforcing.models.tiny_codec import CodecConfig
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder
from deepforcing.models.wan import CausalWan
from deepforcing.training.bundle import Bundle, load_bundle, new_transformer, save_bundle
from deepforcing.training.distil_stage import Distillation, Distiller, distil, matching_loss, noised, roll_out
from deepforcing.training.dit_stage import Batch
from deepforcing.training.teacher import predict

SAMPLING = Sampling(prediction="x0")
CONFIG = Distillation(4.0, warmup_steps=1, batches=(Batch("own", 2, 1, 0.5), Batch("own", 1, 2, 0.5)))
SHAPE = (CHANNELS, 4, 4)


def small_transformer(seed: int = 0):
    torch.manual_seed(seed)
    net = new_transformer(TinyTextConfig(), CodecConfig(latent_channels=CHANNELS))
    torch.nn.init.normal_(net.proj_out.weight, std=0.1)
    return net


@pytest.fixture
def distiller():
    net = small_transformer()
    return Distiller(net, net, TinyTextEncoder(), SAMPLING, CONFIG, SHAPE)


def test_a_roll_out_holds_the_inputs_of_the_steps_that_made_it():
    """Where the last step was picked, the teacher-forcing forward over the own history gives the chunk itself."""
    net, text = small_transformer(), torch.randn(2, 6, TinyTextConfig().width)
    one_step = replace(SAMPLING, steps=(1000,))
    made = roll_out(CausalWan(net, one_step), text, 3, SHAPE, np.random.default_rng(0))
    assert made.clean.shape == made.noisy.shape == (2, CHANNELS, 9, 4, 4) and made.history.shape[2] == 6
    with torch.no_grad():
        again = predict(net, made.noisy, made.sigma, text, made.history)
    torch.testing.assert_close(again, made.clean, atol=1e-3, rtol=1e-3)


def test_a_first_chunk_has_no_history():
    text = torch.randn(1, 6, TinyTextConfig().width)
    made = roll_out(CausalWan(small_transformer(), SAMPLING), text, 1, SHAPE, np.random.default_rng(0))
    assert made.history is None and set(made.sigma.flatten().tolist()) <= {1.0, 0.9375, 0.8333333730697632, 0.625}


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
    loss, made = distiller.student_loss(distiller.roll_out(2, 1, np.random.default_rng(0)))
    assert loss.item() == 0 and made.shape[2] == 6


def test_distilling_changes_the_student_only_and_goes_on_from_its_checkpoint(distiller, tmp_path):
    teacher = {name: value.clone() for name, value in distiller.teacher.state_dict().items()}
    before = distiller.student.proj_out.weight.clone()
    student = distil(distiller, tmp_path)
    assert not torch.equal(student.proj_out.weight, before)
    assert all(torch.equal(value, teacher[name]) for name, value in distiller.teacher.state_dict().items())
    again = distil(distiller, tmp_path)  # its time is over
    torch.testing.assert_close(again.state_dict(), student.state_dict())


def test_a_bundle_keeps_its_teacher_until_the_transformer_is_trained_anew(tmp_path):
    start = load_bundle()
    save_bundle(tmp_path, replace(start, teacher=start.transformer))
    found = load_bundle(tmp_path)
    torch.testing.assert_close(found.teacher.state_dict(), found.transformer.state_dict())
    save_bundle(tmp_path, Bundle(start.card, start.transformer, start.text, start.codec))
    assert load_bundle(tmp_path).teacher is None
