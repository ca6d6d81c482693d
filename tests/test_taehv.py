"""TAEHV's published layout, at small widths and at its own, through the loader."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from deepforcing import ModelError
from deepforcing.models.taehv import load_taehv

CPU = torch.device("cpu")
GROWTH = (1, 2, 2)  # frames that each stage makes of one
BLOCKS = 3  # a stage


def published(widths=(8, 6, 4, 4), channels=16, pixels=3) -> dict[str, torch.Tensor]:
    """Random weights under the names of TAEHV's decoder: 0 clamp, 1 convolution, 2 ReLU, then three stages of 3 memory
    blocks, upsampling, growth and convolution, then ReLU and convolution."""
    torch.manual_seed(0)
    tensors = {}

    def conv(name, outputs, inputs, kernel=3, bias=True):
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5
        if bias:
            tensors[f"{name}.bias"] = torch.randn(outputs) / 10

    conv("decoder.1", widths[0], channels)
    layer = 3
    for before, after, growth in zip(widths, widths[1:], GROWTH, strict=False):
        for block in range(layer, layer + BLOCKS):
            conv(f"decoder.{block}.conv.0", before, 2 * before)
            conv(f"decoder.{block}.conv.2", before, before)
            conv(f"decoder.{block}.conv.4", before, before)
        conv(f"decoder.{layer + BLOCKS + 1}.conv", growth * before, before, kernel=1, bias=False)
        conv(f"decoder.{layer + BLOCKS + 2}", after, before, bias=False)
        layer += BLOCKS + 3
    conv(f"decoder.{layer + 1}", pixels, widths[-1])
    return tensors


def decoded(tensors: dict[str, torch.Tensor], latents: torch.Tensor) -> torch.Tensor:
    """The published decoder, layer by layer in its own order, on latents [F, C, h, w] of one clip."""

    def conv(name, x, padding=1):
        return F.conv2d(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), padding=padding)

    x, layer = F.relu(conv("decoder.1", torch.tanh(latents / 3) * 3)), 3
    for growth in GROWTH:
        for block in range(layer, layer + BLOCKS):
            past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
            y = F.relu(conv(f"decoder.{block}.conv.0", torch.cat([x, past], 1)))
            x = F.relu(conv(f"decoder.{block}.conv.4", F.relu(conv(f"decoder.{block}.conv.2", y))) + x)
        x = F.interpolate(x, scale_factor=2)
        grown = conv(f"decoder.{layer + BLOCKS + 1}.conv", x, padding=0)
        x = conv(f"decoder.{layer + BLOCKS + 2}", grown.reshape(growth * len(x), -1, *x.shape[2:]))
        layer += BLOCKS + 3
    return conv(f"decoder.{layer + 1}", F.relu(x))[3:].clamp(0, 1)


@pytest.fixture(params=[".pth", ".safetensors"])
def path(request, tmp_path):
    path = tmp_path / f"taew2_1{request.param}"
    save(published(), path)
    return path


def save(tensors, path):
    (torch.save if path.suffix == ".pth" else save_file)(tensors, path)


def test_it_computes_what_the_published_decoder_does(path):
    latents = torch.randn(2, 3, 16, 2, 3, generator=torch.Generator().manual_seed(1))
    frames, _ = load_taehv(path, CPU, torch.float32).decode(latents)
    assert frames.shape == (2, 9, 3, 16, 24)
    assert 0.05 < frames.mean() < 0.95  # not all clamped away
    for clip, expected in zip(frames, latents, strict=True):
        torch.testing.assert_close(clip, decoded(published(), expected), atol=1e-5, rtol=0)


def test_a_stream_gives_nine_frames_then_twelve_and_equals_the_whole(path):
    decoder = load_taehv(path, CPU, torch.float32)
    latents = torch.randn(1, 9, 16, 2, 2, generator=torch.Generator().manual_seed(1))
    state, parts = None, []
    for chunk in latents.split(3, 1):
        frames, state = decoder.decode(chunk, state)
        parts.append(frames)
    assert [part.shape[1] for part in parts] == [9, 12, 12]
    torch.testing.assert_close(torch.cat(parts, 1), decoder.decode(latents)[0], atol=1e-5, rtol=0)


def test_the_published_widths_are_recognised(tmp_path):
    path = tmp_path / "taew2_1.safetensors"
    save(published(widths=(256, 128, 64, 64)), path)
    decoder = load_taehv(path, CPU, torch.bfloat16)
    assert (decoder.channels, decoder.spatial_factor) == (16, 8)
    frames, _ = decoder.decode(torch.randn(1, 1, 16, 2, 2))
    assert frames.shape == (1, 1, 3, 16, 16) and frames.dtype == torch.float32
    assert {p.dtype for p in decoder.parameters()} == {torch.bfloat16}


def test_patches_are_recognised_by_the_last_layer(tmp_path):
    path = tmp_path / "taew2_2.safetensors"
    save(published(channels=48, pixels=12), path)
    decoder = load_taehv(path, CPU, torch.float32)
    assert (decoder.channels, decoder.spatial_factor) == (48, 16)
    assert decoder.decode(torch.randn(1, 1, 48, 2, 2))[0].shape == (1, 1, 3, 32, 32)


def test_an_encoder_in_the_file_is_left_out(path):
    save(published() | {"encoder.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    decoder = load_taehv(path, CPU, torch.float32)
    assert not list(decoder.encoder.parameters())
    with pytest.raises(ValueError, match="no encoder"):
        decoder.encode(torch.rand(1, 1, 3, 16, 16))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"decoder.9.conv.2.weight": torch.zeros(2, 2)}, r"expected decoder\.9\.conv\.2\.weight .*, found \(2, 2\)"),
        ({"decoder.16.conv.0.bias": None}, r"expected decoder\.16\.conv\.0\.bias .*, found none"),
        ({"decoder.1.weight": None}, r"not a TAEHV decoder: expected decoder\.1\.weight"),
        ({"decoder.7.conv.weight": torch.zeros(16, 8, 1, 1)}, "grow time by 4"),
        ({"more": torch.zeros(2)}, "it also has more"),
    ],
)
def test_a_wrong_tensor_is_named(path, change, message):
    tensors = {name: tensor for name, tensor in (published() | change).items() if tensor is not None}
    save(tensors, path)
    with pytest.raises(ModelError, match=message):
        load_taehv(path, CPU, torch.float32)


def test_missing_and_truncated_files_are_refused(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        load_taehv(path, CPU, torch.float32)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="empty"):
        load_taehv(path, CPU, torch.float32)
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_taehv(path, CPU, torch.float32)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code from a file was run')",)


@pytest.mark.parametrize("content", [{"decoder.1.weight": Trap()}, [1, 2], {"step": 3}])
def test_a_file_of_anything_but_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "taew2_1.pth")
    with pytest.raises(ModelError, match=r"expected (tensors by name|nothing but tensors)"):
        load_taehv(tmp_path / "taew2_1.pth", CPU, torch.float32)
