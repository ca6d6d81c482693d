"""Wan's VAE in a stream: as diffusers decodes the whole, one state a stream, from a folder as it is published."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import save_file

from deepforcing import ModelError
from deepforcing.models.wan_decoder import WEIGHTS, WanDecoder, load_decoder

CPU = torch.device("cpu")


def small_vae(**sizes) -> AutoencoderKLWan:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=4, num_res_blocks=1, **sizes)
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(3)  # frames with some contrast
    return vae.eval()


def video(seed: int = 0, frames: int = 9, channels: int = 16, height: int = 2, width: int = 3) -> torch.Tensor:
    return torch.randn(1, frames, channels, height, width, generator=torch.Generator().manual_seed(seed))


def whole(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """Frames by diffusers' own `decode`, as its pipeline calls it."""
    mean, std = (torch.tensor(v)[:, None, None, None] for v in (vae.config.latents_mean, vae.config.latents_std))
    with torch.no_grad():
        return vae.decode(latents.transpose(1, 2) * std + mean).sample.transpose(1, 2) / 2 + 0.5


def streamed(decoder: WanDecoder, latents: torch.Tensor, chunk: int = 3) -> list[torch.Tensor]:
    state, parts = None, []
    for part in latents.split(chunk, 1):
        frames, state = decoder.decode(part, state)
        parts.append(frames)
    return parts


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    return small_vae()


@pytest.mark.parametrize("chunk", [1, 3, 9])
def test_a_stream_equals_diffusers_whole_decode(vae, chunk):
    frames = torch.cat(streamed(WanDecoder(vae), video(), chunk), 1)
    assert frames.shape == (1, 33, 3, 16, 24) and frames.std() > 0.05
    torch.testing.assert_close(frames, whole(vae, video()), atol=1e-5, rtol=0)


def test_the_first_chunk_has_nine_frames_and_each_next_twelve(vae):
    assert [part.shape[1] for part in streamed(WanDecoder(vae), video())] == [9, 12, 12]


def test_streams_that_take_turns_do_not_mix(vae):
    decoder, states = WanDecoder(vae), [None, None]
    parts = [[], []]
    for chunk in range(3):
        for stream in range(2):
            latents = video(seed=stream).split(3, 1)[chunk]
            frames, states[stream] = decoder.decode(latents, states[stream])
            parts[stream].append(frames)
    for stream in range(2):
        torch.testing.assert_close(torch.cat(parts[stream], 1), whole(vae, video(seed=stream)), atol=1e-5, rtol=0)


def test_threads_may_share_a_decoder(vae):
    decoder = WanDecoder(vae)
    clips = [video(seed, frames=3) for seed in range(3)]
    with ThreadPoolExecutor(len(clips)) as pool:
        results = list(pool.map(lambda clip: torch.cat(streamed(decoder, clip, chunk=1), 1), clips))
    for clip, frames in zip(clips, results, strict=True):
        torch.testing.assert_close(frames, whole(vae, clip), atol=1e-5, rtol=0)


def test_decoding_does_not_change_the_state_it_was_given(vae):
    decoder = WanDecoder(vae)
    _, state = decoder.decode(video()[:, :3])
    first, _ = decoder.decode(video()[:, 3:], state)
    again, _ = decoder.decode(video()[:, 3:], state)
    assert torch.equal(first, again)


def test_a_failed_call_leaves_nothing_behind(vae):
    decoder = WanDecoder(vae)
    _, state = decoder.decode(video()[:, :3])
    with pytest.raises(RuntimeError):
        decoder.decode(video(height=4)[:, 3:6], state)  # of another size than the state
    torch.testing.assert_close(torch.cat(streamed(decoder, video()), 1), whole(vae, video()), atol=1e-5, rtol=0)


def test_frames_stay_within_range(vae):
    frames, _ = WanDecoder(vae).decode(100 * video(frames=2))
    assert frames.min() >= 0 and frames.max() <= 1


def test_tiles_are_blended_as_diffusers_does():
    vae, latents = small_vae(), video(frames=2, height=6, width=5)
    plain = whole(vae, latents)
    vae.enable_tiling(32, 32, 16, 16)
    frames = torch.cat(streamed(WanDecoder(vae), latents, chunk=1), 1)
    torch.testing.assert_close(frames, whole(vae, latents), atol=1e-5, rtol=0)
    assert not torch.allclose(frames, plain, atol=1e-5)


def test_a_vae_with_patches_streams_too():
    """Wan 2.2's: pixels in patches of 2, residual stages."""
    vae = small_vae(patch_size=2, in_channels=12, out_channels=12, is_residual=True)
    decoder = WanDecoder(vae)
    assert decoder.spatial_factor == 16
    frames = torch.cat(streamed(decoder, video(frames=3), chunk=1), 1)
    assert frames.shape == (1, 9, 3, 32, 48)
    torch.testing.assert_close(frames, whole(vae, video(frames=3)), atol=1e-5, rtol=0)


@pytest.fixture
def folder(vae, tmp_path):
    vae.save_pretrained(tmp_path / "vae")
    return tmp_path


def test_a_folder_loads_without_what_only_encodes(folder, vae):
    decoder = load_decoder(folder, CPU, torch.float32)
    assert (decoder.channels, decoder.spatial_factor) == (16, 8)
    assert decoder.vae.encoder is None and not decoder.vae.use_tiling
    assert torch.equal(decoder.decode(video())[0], WanDecoder(vae).decode(video())[0])


def test_precision_and_tiling_are_as_asked(folder, vae):
    decoder = load_decoder(folder / "vae", CPU, torch.bfloat16, tiling=True)
    assert {p.dtype for p in decoder.vae.parameters()} == {torch.bfloat16} and decoder.vae.use_tiling
    frames, _ = decoder.decode(video())
    assert frames.dtype == torch.float32
    assert (frames - whole(vae, video())).abs().mean() < 0.02


def test_shards_are_read(folder, vae):
    vae.save_pretrained(folder / "vae", max_shard_size="200kB")
    (folder / "vae" / WEIGHTS).unlink()
    assert len(list((folder / "vae").glob("*.safetensors"))) > 1
    frames, _ = load_decoder(folder, CPU, torch.float32).decode(video())
    assert torch.equal(frames, WanDecoder(vae).decode(video())[0])


def test_missing_truncated_and_foreign_weights_are_named(folder):
    path = folder / "vae" / WEIGHTS
    whole_file = path.read_bytes()
    path.write_bytes(whole_file[: len(whole_file) // 2])
    with pytest.raises(ModelError, match="damaged"):
        load_decoder(folder, CPU, torch.float32)
    save_file({"other": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"of another model: expected encoder\.conv_in"):
        load_decoder(folder, CPU, torch.float32)
    path.unlink()
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing"):
        load_decoder(folder, CPU, torch.float32)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"_class_name": "AutoencoderKL"}, "expected _class_name AutoencoderKLWan, found AutoencoderKL"),
        ({"dim_mult": "wide"}, "cannot be built"),
        ({"temperal_downsample": [False, False, True]}, "makes 2 frames of a latent: expected"),
        ({"latents_std": [1.0]}, "latents_std of 16 numbers"),
    ],
)
def test_a_wrong_description_is_refused(folder, change, message):
    path = folder / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load_decoder(folder, CPU, torch.float32)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json is missing: expected the folder of AutoencoderKLWan"):
        load_decoder(tmp_path, CPU, torch.float32)
