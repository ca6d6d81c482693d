"""The codec: shapes, causality, and a stream that equals the whole."""

import copy

import pytest
import torch

from deepforcing.models.tiny_codec import CodecConfig, TinyCodec

CONFIG = CodecConfig(latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(12, 8, 8, 8))


@pytest.fixture
def codec() -> TinyCodec:
    torch.manual_seed(0)
    codec = TinyCodec(CONFIG).eval().requires_grad_(False)
    codec.mean.uniform_(-1, 1)
    codec.std.uniform_(0.5, 2)
    return codec


@pytest.mark.parametrize("frames, latents", [(1, 1), (5, 2), (81, 21)])
def test_shapes(codec, frames, latents):
    z = codec.encode(torch.rand(2, frames, 3, 16, 24))
    assert z.shape == (2, latents, 4, 2, 3)
    assert codec.decode(z)[0].shape == (2, frames, 3, 16, 24)


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1, 1), (3, 2), (2, 3)])
def test_streamed_equals_whole(codec, cuts):
    z = torch.randn(2, 5, 4, 2, 2)
    whole, _ = codec.decode(z)
    state, parts = None, []
    for part in z.split(cuts, 1):
        frames, state = codec.decode(part, state)
        parts.append(frames)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=0)


def test_decoding_does_not_change_the_state_it_was_given(codec):
    z = torch.randn(1, 4, 4, 2, 2)
    _, state = codec.decode(z[:, :2])
    first, _ = codec.decode(z[:, 2:], state)
    again, _ = codec.decode(z[:, 2:], state)
    assert torch.equal(first, again)


def test_both_ways_are_causal(codec):
    video = torch.rand(1, 9, 3, 16, 16)
    changed = video.clone()
    changed[:, 5:] = 0
    torch.testing.assert_close(codec.encode(video)[:, :2], codec.encode(changed)[:, :2])
    z = codec.encode(video)
    torch.testing.assert_close(codec.decode(z)[0][:, :5], codec.decode(z[:, :2])[0])


def test_one_frame_latent_stands_alone(codec):
    video = torch.rand(1, 9, 3, 16, 16)
    torch.testing.assert_close(codec.encode(video)[:, :1], codec.encode(video[:, :1]))


def test_frames_stay_within_range(codec):
    frames, _ = codec.decode(100 * torch.randn(1, 2, 4, 2, 2))
    assert frames.min() >= 0 and frames.max() <= 1


def test_clips_of_a_wrong_length_are_refused(codec):
    with pytest.raises(ValueError, match="1 \\+ 4k"):
        codec.encode(torch.rand(1, 4, 3, 16, 16))


def test_impossible_configurations_are_refused():
    with pytest.raises(ValueError, match="grow time"):
        CodecConfig(decoder_temporal=(False, False, True))
    with pytest.raises(ValueError, match="decoder"):
        CodecConfig(decoder_widths=(8, 8))


def test_the_layout_scales_with_the_configuration():
    large = CodecConfig(
        latent_channels=6,
        patch_size=1,
        decoder_spatial=(True, True, True),
        encoder_widths=(8, 8, 8, 8),
        encoder_blocks=(1, 1, 1),
    )
    assert large.spatial_factor == 8


def test_in_half_precision_the_picture_is_the_same(codec):
    latents = codec.encode(torch.rand(1, 9, 3, 16, 16))
    whole, _ = codec.decode(latents)
    halved = copy.deepcopy(codec)
    halved.encoder.bfloat16(), halved.decoder.bfloat16()
    frames, state = halved.decode(latents)
    assert frames.dtype == torch.float32 and {m.dtype for m in state.memory} == {torch.bfloat16}
    assert 0 < (frames - whole).abs().mean() < 1 / 255
    assert halved.encode(whole).dtype == torch.float32


def test_every_convolution_finds_channels_last_in_memory(codec):
    """Any other order is copied into that one, which took a third of the decoder's time."""
    layouts = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda _, inputs: layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        )
        for layer in codec.modules()
        if isinstance(layer, torch.nn.Conv2d)
    ]
    latents = codec.encode(torch.rand(2, 9, 3, 32, 32))
    _, state = codec.decode(latents)
    codec.decode(latents, state)
    assert all(layouts) and len(layouts) > len(hooks)
