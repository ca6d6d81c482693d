"""Videos that start from a picture or a clip."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CHANNELS, small_pipeline
from PIL import Image
from test_loading import folder  # noqa: F401  (a fixture)
from test_wan_decoder import small_vae

from deepforcing import DeepForcing, ModelError, Past, SettingsError, VideoShape, VideoStream, VideoWriter
from deepforcing.__main__ import main
from deepforcing.ffmpeg import find_ffmpeg
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.wan_decoder import WanDecoder, load_decoder
from deepforcing.opening import likeness, opening_frames
from deepforcing.pipeline import generate_long_video

SHAPE = VideoShape(32, 48)
SMALL = DeepForcing(window=9, sink=3, budget=8, recent=4)


def picture(width=96, height=64):
    """Red on the left, blue on the right, a green bar at the top."""
    x = np.zeros((height, width, 3), np.uint8)
    x[:, : width // 2, 0] = x[:, width // 2 :, 2] = 200
    x[: height // 8, :, 1] = 250
    return x


def saved(path, image, **options):
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def made(start, pipeline=None, chunks=5, **more):
    frames = 9 + 12 * (chunks - 1)
    pipeline = pipeline or small_pipeline()
    return list(generate_long_video(pipeline, "a", num_frames=frames, policy=SMALL, start=start, **more))


def test_a_picture_is_shown_for_a_chunk_in_the_videos_proportions(tmp_path):
    path = saved(tmp_path / "wide.png", picture(200, 64))
    frames = opening_frames(path, SHAPE, 3)
    assert frames.shape == (9, 32, 48, 3) and frames.dtype == np.uint8 and (frames == frames[0]).all()
    assert frames[0, 16, 2, 0] > 150 and frames[0, 16, 45, 2] > 150 and frames[0, 0, 24, 1] > 200
    for same in (Image.open(path), np.asarray(Image.open(path)), str(path)):
        assert (opening_frames(same, SHAPE, 3) == frames).all()


@pytest.mark.parametrize(("given", "latents"), [(1, 3), (9, 3), (20, 3), (21, 6), (33, 9), (200, 21)])
def test_a_clip_is_whole_chunks_and_its_end_stays(given, latents):
    clip = np.broadcast_to(np.arange(given, dtype=np.uint8)[:, None, None, None], (given, 32, 48, 3))
    frames = opening_frames(clip, SHAPE, 3)
    assert len(frames) == SHAPE.frames(latents) and frames[-1, 0, 0, 0] == given - 1
    if given >= 9:
        assert (np.diff(frames[:, 0, 0, 0].astype(int)) == 1).all()


def test_a_clip_of_another_size_and_rate_is_read_from_an_mp4(tmp_path):
    shape = VideoShape(64, 64, fps=32)
    with VideoWriter(tmp_path / "clip.mp4", shape) as video:
        video.write(np.repeat(np.arange(0, 240, 4, np.uint8), 64 * 64 * 3).reshape(60, 64, 64, 3))
    frames = opening_frames(tmp_path / "clip.mp4", SHAPE, 3)
    assert frames.shape == (21, 32, 48, 3)  # 60 frames at 32 are 30 at 16, of which two whole chunks
    assert abs(int(frames[-1].mean()) - 236) < 8 and (np.diff(frames.mean((1, 2, 3))) > 4).all()


def test_an_orientation_tag_is_obeyed(tmp_path):
    upright = Image.fromarray(picture(48, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter
    path = saved(tmp_path / "turned.png", upright.rotate(90, expand=True), exif=exif)
    np.testing.assert_array_equal(opening_frames(path, SHAPE, 3)[0], np.asarray(upright))


def bad_pictures(place):
    opaque, moving = Image.fromarray(picture()).convert("RGBA"), Image.fromarray(picture())
    opaque.putpixel((0, 0), (9, 9, 9, 40))
    (place / "text.png").write_text("no picture")
    whole = saved(place / "whole.png", np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).read_bytes()
    (place / "cut.png").write_bytes(whole[: len(whole) // 2])
    (place / "clip.mp4").write_bytes(b"no clip")
    whole = saved(place / "whole.qoi", Image.fromarray(picture())).read_bytes()
    (place / "cut.qoi").write_bytes(whole[: len(whole) // 2])
    return {
        "text.png": "is no picture that can be read",
        "cut.png": "is damaged",
        "cut.qoi": "is damaged",
        "clip.mp4": "is no MP4 with a video in it",
        saved(place / "clear.png", opaque).name: "is transparent in places",
        saved(place / "loop.gif", moving, save_all=True, append_images=[moving.rotate(90)]).name: "moves: save one",
        saved(place / "deep.png", Image.new("I;16", (32, 32))).name: "has more than 8 bits a channel",
        saved(place / "huge.png", Image.new("1", (10_000, 10_000))).name: "has 100 megapixels: make it smaller",
        saved(place / "vast.png", Image.new("1", (14_000, 14_000))).name: "is far too large: make it smaller",
    }


def test_what_is_no_picture_to_start_from_is_said(tmp_path):
    for name, message in bad_pictures(tmp_path).items():
        with pytest.raises(SettingsError, match=f"^{name} {message}"):
            opening_frames(tmp_path / name, SHAPE, 3)
    with pytest.raises(OSError, match="none"):
        opening_frames(tmp_path / "none.png", SHAPE, 3)
    for wrong in (7, np.zeros((3, 3)), np.zeros((0, 32, 48, 3), np.uint8)):
        with pytest.raises(SettingsError, match="start"):
            opening_frames(wrong, SHAPE, 3)


@pytest.mark.timeout(60)
def test_a_clip_with_a_gap_of_days_is_read_from_its_end(tmp_path):
    path = tmp_path / "gap.mp4"
    pictures = ["-f", "lavfi", "-i", "testsrc=size=48x32:rate=1:duration=2"]
    late = ["-vf", "setpts=N*100000/TB", "-fps_mode", "passthrough", "-c:v", "libx264", "-pix_fmt", "yuv420p"]
    subprocess.run([find_ffmpeg(), "-v", "error", *pictures, *late, str(path)], check=True)
    assert 1 <= len(opening_frames(path, SHAPE, 3)) <= 81


def test_an_opaque_picture_with_an_alpha_channel_is_one(tmp_path):
    path = saved(tmp_path / "opaque.png", Image.fromarray(picture()).convert("RGBA"))
    assert (opening_frames(path, SHAPE, 3) == opening_frames(picture(), SHAPE, 3)).all()


def test_it_is_in_the_cache_as_if_the_model_had_made_it():
    pipeline = small_pipeline()
    chunks, other = made(picture(), pipeline), made(picture()[:, ::-1], pipeline)
    assert [chunk.again for chunk in chunks] == [True] + [False] * 4
    assert chunks[-1].cache.roles[:3] == ("sink",) * 3
    frames = torch.from_numpy(opening_frames(picture(), SHAPE, 3)).permute(0, 3, 1, 2)[None] / 255
    latents = pipeline.decoder.encode(frames)[0].detach().numpy()
    np.testing.assert_allclose(chunks[0].latents, latents, atol=1e-6)
    assert not np.array_equal(chunks[-1].latents, other[-1].latents)
    assert made(picture(), pipeline)[-1].prompt == "a"


def test_a_run_that_started_from_a_clip_can_be_gone_on_with():
    pipeline = small_pipeline()
    clip = np.concatenate([np.roll(picture(), shift, 1)[None] for shift in range(21)])
    whole = made(clip, pipeline)
    again = made(None, pipeline, past=Past.of(whole[:3]))
    assert [chunk.again for chunk in whole] == [True, True, False, False, False]
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(whole, again, strict=True))
    with pytest.raises(SettingsError, match="or goes on from another run, not both"):
        made(picture(), pipeline, past=Past.of(whole[:2]))


def test_a_stream_starts_from_a_picture_too():
    with VideoStream(small_pipeline(), "a", policy=SMALL, num_frames=33, start=picture()) as stream:
        _, first, *_ = stream
    assert first.again and np.array_equal(first.frames, made(picture())[0].frames)


def test_a_decoder_without_its_encoder_says_so():
    codec = TinyCodec(CodecConfig(CHANNELS, encoder_widths=(), encoder_blocks=(), decoder_widths=(8, 8, 8, 8)))
    with pytest.raises(ModelError, match="without an encoder"):
        replace(small_pipeline(), decoder=codec.eval()).opening(picture())


def test_wans_encoder_is_read_when_it_is_needed(tmp_path):
    vae = small_vae()
    vae.save_pretrained(tmp_path)
    lean = load_decoder(tmp_path, torch.device("cpu"), torch.float32)
    assert lean.vae.encoder is None and lean.encodes and not WanDecoder(lean.vae).encodes
    frames = torch.rand(1, 9, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    latents = lean.encode(frames)
    mean, std = (torch.tensor(v)[:, None, None, None] for v in (vae.config.latents_mean, vae.config.latents_std))
    with torch.no_grad():
        expected = (vae.encode(frames.transpose(1, 2) * 2 - 1).latent_dist.mode() - mean) / std
    torch.testing.assert_close(latents, expected.transpose(1, 2))
    torch.testing.assert_close(WanDecoder(vae).encode(frames), latents)
    assert latents.shape == (1, 3, 16, 2, 3) and lean.vae.encoder is None


def test_likeness_is_a_ratio_in_decibels():
    grey = np.full((4, 8, 8, 3), 100, np.uint8)
    assert likeness(grey, grey) == float("inf")
    assert likeness(grey, grey + 10) == pytest.approx(20 * np.log10(25.5), abs=0.01)


def test_a_command_starts_from_a_picture(folder, tmp_path, capsys):  # noqa: F811
    path, out = saved(tmp_path / "picture.png", picture()), tmp_path / "out.mp4"
    words = ["generate", "a red balloon", "--model", str(folder), "--seconds", "1", "-o", str(out)]
    assert main([*words, "--start", str(path)]) == 0
    assert "note: this model keeps little of picture.png" in capsys.readouterr().err
    assert b"started from picture.png" in out.read_bytes()


def test_a_command_that_cannot_start_ends_in_one_line_before_a_model_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("deepforcing.commands.load_pipeline", None)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "none.png", "none.mp4"):
        assert main(["generate", "a", "--start", str(tmp_path / name), "-o", str(tmp_path / "out.mp4")]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
