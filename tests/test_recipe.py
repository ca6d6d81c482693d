"""The recipe from end to end at a tiny size, and what holds it together: clips, time, files, the command line."""

import multiprocessing
import pickle
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from documents import PAGES, ROOT
from tiny_recipe import SCALE, SIZES, every_step_takes

from deepforcing.models.tiny_classifier import Classifier, load_classifier
from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.pipeline import generate_long_video, load_pipeline
from deepforcing.training import bundle as bundles
from deepforcing.training import distil_stage, dit_stage
from deepforcing.training.__main__ import EXAMPLE, recipe_of
from deepforcing.training.bank import Bank, to_video
from deepforcing.training.bundle import ASSETS, load_bundle, new_bundle, save_bundle, save_module
from deepforcing.training.codec_stage import CodecTraining, train_codec
from deepforcing.training.data import decode_clips, encode_clips, load_latents
from deepforcing.training.held_out import captions_of, losses
from deepforcing.training.recipe import Recipe
from deepforcing.training.rendering import Clips, FolderError, Rendering, Source, caption_of
from deepforcing.training.scale import CPU, CUDA, scale_for
from deepforcing.training.stages import STAGES, follow
from deepforcing.training.teacher import predict
from deepforcing.training.timetable import SHARES, Timetable
from deepforcing.training.warm import warm
from deepforcing.training.world import render, subject_region

HERE = torch.device("cpu")
SOURCE = Source(7, 3, 5, 16)


Forward = tuple  # all that a compiled forward depends on


@contextmanager
def forwards_seen() -> Iterator[set[Forward]]:
    """Of every teacher-forcing forward: shapes, memory layout, and what gradients are wanted of."""
    seen = set()

    def watched(model, noisy, sigma, text, history=None):
        tensors = [t for t in (noisy, sigma, text, history) if t is not None]
        layout = tuple((t.shape, t.stride(), t.dtype, t.requires_grad) for t in tensors)
        trained = model.proj_out.weight.requires_grad, model.training
        seen.add((layout, trained, torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        return predict(model, noisy, sigma, text, history)

    with pytest.MonkeyPatch.context() as monkeypatch:
        for module in (dit_stage, distil_stage):
            monkeypatch.setattr(module, "predict", watched)
        yield seen


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> tuple[Recipe, set[Forward]]:
    """What `--fresh --minutes` makes, but in seconds, and how."""
    folder, times = tmp_path_factory.mktemp("recipe"), Timetable.within(0.05, tuple(STAGES))
    recipe = Recipe(folder / "work", folder / "model", start=None, sizes=SIZES, scale=SCALE, workers=0, times=times)
    with pytest.MonkeyPatch.context() as monkeypatch, forwards_seen() as seen:
        every_step_takes(0.2, monkeypatch)
        follow(recipe)
    return recipe, seen


@pytest.fixture
def made(training) -> Recipe:
    return training[0]


def test_what_is_compiled_ahead_is_what_training_runs(training):
    """Save for small stills, which there are on CPUs only."""
    recipe, seen = training
    needed = {forward for forward in seen if forward[0][0][0][-1] == SIZES.side}
    with forwards_seen() as ahead:
        warm(recipe)
    assert len(needed) > 6 and needed <= ahead


def test_the_whole_recipe_makes_a_model_that_streams(made):
    pipeline = load_pipeline(made.output)
    frames = [chunk.frames for chunk in generate_long_video(pipeline, "a red ball", num_frames=21)]
    assert sum(map(len, frames)) == 21 and frames[0].shape[1:] == (32, 32, 3)
    assert set(load_classifier(made.output / "classifier.safetensors").read(torch.rand(2, 3, 32, 32)))
    learnt = load_bundle(made.output)
    for part in ("transformer", "teacher"):
        assert getattr(learnt, part).proj_out.weight.abs().max() > 0, f"the {part} has learnt"
    assert not torch.equal(learnt.teacher.proj_out.weight, learnt.transformer.proj_out.weight)
    assert not torch.equal(learnt.codec.std, torch.ones_like(learnt.codec.std))


def test_a_classifier_that_was_trained_learns_on_and_a_new_model_gets_a_new_one(tmp_path):
    known = Classifier()
    save_module(known, tmp_path / "classifier.safetensors", torch.float32)

    def begins(start):
        model = Recipe(tmp_path, start=start).classifier
        assert model.training and all(parameter.requires_grad for parameter in model.parameters())
        return all(torch.equal(one, other) for one, other in zip(model.parameters(), known.parameters(), strict=True))

    assert begins(tmp_path) and not begins(None) and not begins(tmp_path / "without")


def test_training_goes_on_from_a_folder(made, tmp_path, monkeypatch):
    """The decoder learns on, latents and text stay as they are, the teacher goes to the last stage of its training, and
    its student comes along."""
    every_step_takes(0.2, monkeypatch)
    times = Timetable(("codec", "latents", "transformer"), {"codec": 1 / 60, "transformer": 1 / 60})
    recipe = replace(made, folder=tmp_path / "work", output=tmp_path / "more", start=made.output, times=times)
    assert "small-stills" not in recipe.needed and recipe.stages == SCALE.stages[-1:]
    follow(recipe)
    before, after = load_bundle(made.output), load_bundle(recipe.output)
    torch.testing.assert_close(after.codec.encoder.state_dict(), before.codec.encoder.state_dict())
    assert torch.equal(after.codec.std, before.codec.std)
    assert not torch.equal(after.codec.decoder[-1].weight, before.codec.decoder[-1].weight)
    torch.testing.assert_close(after.text.state_dict(), before.text.state_dict())
    moved = after.teacher.proj_out.weight - before.teacher.proj_out.weight
    assert moved.abs().max() > 0 and after.card == before.card
    torch.testing.assert_close(
        after.transformer.proj_out.weight, before.transformer.proj_out.weight + moved, atol=2e-3, rtol=0.02
    )
    assert len(np.load(recipe.folder / "stills_latents.npy")) == SCALE.counts["stills"], "none is left out"


def test_what_is_finished_is_gone_on_with_and_what_is_not_is_not_mixed_with_other_work(made, tmp_path, monkeypatch):
    every_step_takes(0.2, monkeypatch)
    output, start = tmp_path / "more", made.output
    again = replace(made, output=output, start=start, times=Timetable(("codec",), {"codec": 1 / 60}))
    follow(again)  # in the folder in which a whole new codec was trained
    once = load_bundle(output).codec.decoder[-1].weight
    follow(replace(again, start=output))
    assert not torch.equal(load_bundle(output).codec.decoder[-1].weight, once)
    (made.folder / "dit.ckpt").touch()
    with pytest.raises(FolderError, match=f"unfinished training that began with {output}: finish that, delete"):
        follow(again)
    (made.folder / "dit.ckpt").unlink()


def test_latents_are_made_again_by_another_encoder(tmp_path):
    clips, codec, other = Clips(tmp_path, "a", SOURCE), TinyCodec(SIZES.codec), TinyCodec(SIZES.codec)
    other.load_state_dict(codec.state_dict())
    list(clips.render(range(3)))
    path = tmp_path / "a_latents.npy"

    def encoded(codec):
        encode_clips(path, clips, codec, HERE)
        return np.load(path)

    first = encoded(codec)
    with torch.no_grad():
        other.decoder[-1].weight.add_(1)
    stamp = path.stat().st_mtime_ns
    assert np.array_equal(encoded(other), first) and path.stat().st_mtime_ns == stamp, (
        "its decoder says nothing of them"
    )
    other.mean.add_(0.5)
    np.testing.assert_allclose(encoded(other), first - 0.5, atol=0.01)


def test_a_recipe_can_be_sent_to_other_processes(made):
    assert pickle.loads(pickle.dumps(made)).sources == made.sources


def test_large_files_are_shards_that_both_loaders_read(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "SHARD", 20_000)
    start = new_bundle(replace(SIZES, layers=8))
    save_bundle(tmp_path, replace(start, teacher=start.transformer))
    shards = sorted((tmp_path / "transformer").glob("*.safetensors"))
    assert len(shards) > 2 and max(shard.stat().st_size for shard in shards) < 20_000 + 8_000
    torch.testing.assert_close(
        load_bundle(tmp_path).teacher.state_dict(), start.transformer.state_dict(), atol=0.01, rtol=0.01
    )
    loaded = load_pipeline(tmp_path).denoiser.transformer.state_dict()
    torch.testing.assert_close(
        {n: t.float() for n, t in loaded.items()}, start.transformer.state_dict(), atol=0.01, rtol=0.01
    )
    monkeypatch.setattr(bundles, "SHARD", 10_000_000)
    save_bundle(tmp_path, start)
    assert [file.name for file in (tmp_path / "transformer").glob("*.safetensors*")] == [
        "diffusion_pytorch_model.safetensors"
    ]


def test_no_file_of_a_new_model_is_larger_than_16_megabytes(tmp_path):
    save_bundle(tmp_path, new_bundle(Recipe(tmp_path).sizes))
    sizes = {file.name: file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()}
    assert max(sizes.values()) <= 16_000_000 and len([name for name in sizes if "of-00002" in name]) == 2


def test_clips_are_rendered_once_by_processes_that_end_with_the_work(tmp_path):
    with Rendering(tmp_path, {"a": SOURCE, "b": replace(SOURCE, first_seed=90)}, workers=2) as rendering:
        clips = rendering.wait("b", 3)
    assert not multiprocessing.active_children()
    for index in range(3):
        caption = caption_of(90 + index)
        assert np.array_equal(clips.pixels[index], render(caption, 90 + index, 16, 5))
        assert np.array_equal(clips.regions[index], subject_region(caption, 90 + index, 2, 5)[::4])
    clips.pixels[0] = 0
    assert Clips(tmp_path, "b", replace(SOURCE, first_seed=90)).ready == 3
    with Rendering(tmp_path, {"b": replace(SOURCE, first_seed=90)}, workers=0) as rendering:
        assert rendering.wait("b", 3).pixels[0].max() == 0, "it was not drawn again"


def test_clips_that_are_missing_in_the_middle_are_not_read(tmp_path):
    clips = Clips(tmp_path, "a", SOURCE)
    list(clips.render([0, 2]))
    assert clips.ready == 1
    list(clips.render([1]))
    assert clips.ready == 3
    with pytest.raises(ValueError, match="delete it, or work in another folder"):
        Clips(tmp_path, "a", replace(SOURCE, size=24))


def test_who_waits_for_clips_hears_of_a_process_that_is_gone(tmp_path):
    with Rendering(tmp_path, {"a": replace(SOURCE, count=5000)}, workers=1) as rendering:
        multiprocessing.active_children()[0].kill()
        with pytest.raises(RuntimeError, match="'a' ended early"):
            rendering.wait("a", 5000)


def test_a_bank_takes_what_has_been_rendered_by_now():
    pixels, ready = np.repeat(np.arange(200, dtype=np.uint8), 8 * 12).reshape(200, 8, 2, 2, 3), [3]
    bank = Bank(pixels, HERE, lambda: ready[0])
    torch.manual_seed(0)
    video, clip = bank.sample(100, 4)
    assert video.shape == (100, 4, 3, 2, 2) and set(clip.tolist()) == {0, 1, 2}
    torch.testing.assert_close(video[:, 0, 0, 0, 0] * 255, clip.float())
    ready[0] = 200
    assert bank.sample(400, 4)[1].max() > 150


def test_a_batch_is_cut_from_anywhere_and_mirrored_half_of_the_time():
    pixels = np.arange(9 * 2, dtype=np.uint8).reshape(1, 9, 1, 2, 1).repeat(3, -1)
    torch.manual_seed(0)
    video = (Bank(pixels, HERE).sample(300, 3)[0] * 255).round()
    first = video[:, 0, 0, 0]
    assert set(first.amin(-1).tolist()) == {0, 2, 4, 6, 8, 10, 12}
    assert (video[:, :, 0, 0, 0].diff(dim=1) == 2).all()
    assert 0.4 < (first[:, 0] > first[:, 1]).float().mean() < 0.6


def test_latents_on_disk_keep_their_captions(tmp_path):
    clips, codec = Clips(tmp_path, "a", SOURCE), TinyCodec(SIZES.codec)
    list(clips.render(range(3)))
    path = tmp_path / "a_latents.npy"
    assert encode_clips(path, clips, codec, HERE) == encode_clips(path, clips, codec, HERE) == 3
    data = load_latents(path, HERE)
    assert data.latents.shape == (3, 2, 4, 2, 2) and data.captions == [caption_of(seed) for seed in (7, 8, 9)]
    assert np.array_equal(data.regions, clips.regions)


def test_a_codec_works_as_long_as_there_is_time_but_on_something(tmp_path, monkeypatch):
    monkeypatch.setattr("deepforcing.training.data.FRAMES", 1)
    clips, codec = Clips(tmp_path, "a", SOURCE), TinyCodec(SIZES.codec)
    list(clips.render(range(3)))
    assert encode_clips(tmp_path / "few.npy", clips, codec, HERE, seconds=0) == 1
    assert len(load_latents(tmp_path / "few.npy", HERE).captions) == 1
    latents = np.zeros((3, 2, 4, 2, 2), np.float16)
    assert decode_clips(tmp_path / "few_decoded.npy", latents, codec, HERE, seconds=0).shape == (1, 5, 16, 16, 3)
    assert len(decode_clips(tmp_path / "decoded.npy", latents, codec, HERE)) == 3


@torch.no_grad()
def round_trip_error(codec: TinyCodec, pixels: np.ndarray) -> float:
    video = to_video(torch.from_numpy(pixels))
    return (codec.decode_raw(codec.encode_raw(video))[0] - video).square().mean().item()


@pytest.mark.parametrize("training", [CodecTraining, CodecTraining.of_decoder])
def test_a_codec_learns(tmp_path, monkeypatch, training):
    """From random weights, or its decoder alone."""
    every_step_takes(0.01, monkeypatch)
    clips = Clips(tmp_path, "a", SOURCE)
    list(clips.render(range(3)))
    torch.manual_seed(0)
    codec = TinyCodec(SIZES.codec)
    before = round_trip_error(codec, clips.pixels)
    after = train_codec(codec, Bank(clips.pixels, HERE), training(0.4, ((3, 5),)), tmp_path / "codec.ckpt", HERE)
    assert round_trip_error(after, clips.pixels) < 0.9 * before
    again = train_codec(codec, Bank(clips.pixels, HERE), training(0.4, ((3, 5),)), tmp_path / "codec.ckpt", HERE)
    assert torch.equal(again.mean, after.mean) and torch.equal(again.std, after.std), "latents stay in their units"


def test_a_save_that_is_cut_short_leaves_what_was_there(tmp_path, monkeypatch):
    first, second = new_bundle(SIZES), new_bundle(SIZES)
    save_bundle(tmp_path, replace(first, teacher=first.transformer))
    before = load_bundle(tmp_path)
    saved = iter([bundles.in_half_precision(second.transformer)])
    monkeypatch.setattr(bundles, "in_half_precision", lambda _: next(saved))
    with pytest.raises(StopIteration):
        save_bundle(tmp_path, replace(second, teacher=second.transformer))
    after = load_bundle(tmp_path)
    for part in ("transformer", "teacher"):
        torch.testing.assert_close(getattr(after, part).state_dict(), getattr(before, part).state_dict())


def test_stages_share_what_is_left_of_the_time():
    times, whole = Timetable.within(8, tuple(SHARES), now=0), sum(SHARES.values())
    assert times.end == 460 and times.hurried
    now = 0.0
    for stage in SHARES:  # each takes exactly what it may
        seconds = times.seconds(stage, now)
        assert seconds == pytest.approx(460 * SHARES[stage] / whole)
        now += seconds
    assert now == pytest.approx(460)


def test_a_stage_that_took_too_long_takes_from_all_that_follow():
    times = Timetable.within(8, tuple(SHARES), now=0)
    assert times.seconds("distil", now=400) == pytest.approx(
        60 * SHARES["distil"] / (SHARES["distil"] + SHARES["classifier"])
    )
    assert times.seconds("classifier", now=455) == pytest.approx(5) and times.seconds("classifier", now=500) == 1


def test_stages_that_do_not_run_take_no_time():
    assert Timetable.within(10, ("distil",), now=5).seconds("distil", now=5) == 580
    assert Timetable.within(1, ("distil",), now=0).end == 54


def test_without_an_end_a_stage_has_its_minutes_and_the_rest_all_the_time():
    times = Timetable(minutes={"codec": 2.0})
    assert times.seconds("codec", now=1e9) == 120 and times.seconds("latents") == float("inf") and not times.hurried


def test_a_command_line_becomes_a_recipe():
    before = time.monotonic()
    recipe = recipe_of(["--fresh", "--minutes", "8", "--output", "out", "--device", "cuda"])
    assert (
        recipe.fresh and recipe.output == Path("out") and recipe.scale is CUDA and recipe.times.stages == tuple(STAGES)
    )
    assert before <= recipe.times.end - 460 <= time.monotonic()
    recipe = recipe_of(["distil", "codec", "--codec-minutes", "3", "--device", "cpu"])
    assert recipe.start == ASSETS and recipe.scale is CPU and recipe.times.stages == ("codec", "distil")
    assert recipe.times.seconds("codec") == 180 and recipe.times.seconds("distil") == 3600


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["bake"], "unknown stage 'bake'"),
        (["--minutes", "0"], "above 0"),
        (["--device", "cuda", "--processes", "2"], "for CPUs"),
    ],
)
def test_a_command_line_that_cannot_be_is_refused(arguments, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        recipe_of(arguments)
    assert said in capsys.readouterr().err


def test_what_is_compiled_on_a_gpu_is_few_shapes():
    assert scale_for(torch.device("cuda")) is CUDA and scale_for(HERE) is CPU
    batches = [batch for stage in CUDA.stages for batch in stage.batches] + list(CUDA.own)
    assert len({(batch.count, batch.chunks) for batch in batches}) == 3


def test_every_command_that_is_told_can_be_given():
    told = re.findall(r"python -m deepforcing\.training (.*)", PAGES[ROOT / "docs" / "training.md"] + EXAMPLE)
    assert len(told) > 2 and all(recipe_of(line.split()) for line in told)


def test_a_teacher_is_tried_on_clips_that_it_never_saw():
    bundle = new_bundle(SIZES)
    found = losses(bundle, count=2)
    assert set(found) == {"bird", "others"} and found == losses(bundle, count=2)
    with torch.no_grad():
        bundle.transformer.proj_out.bias.add_(3)
    assert all(worse > before for worse, before in zip(losses(bundle, count=2).values(), found.values(), strict=True))
    assert {caption.subject for caption in captions_of(True, 9)} == {"bird"}
    assert "bird" not in {caption.subject for caption in captions_of(False, 60)}
