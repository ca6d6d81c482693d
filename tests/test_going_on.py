"""A run that is gone on with is the run that was never interrupted."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import small_pipeline
from test_loading import folder  # noqa: F401  (a fixture)

from deepforcing import (
    POLICIES,
    DeepForcing,
    Past,
    SettingsError,
    StreamEnded,
    Timeline,
    TraceWriter,
    VideoStream,
    VideoWriter,
    generate_long_video,
    make_policy,
    read_trace,
)
from deepforcing.__main__ import main
from deepforcing.pipeline import started_event

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
SMALL = {"window": 9, "sink": 3, "budget": 8, "recent": 4}
THEIR_OWN = {"memory": 2, "dense": 3}
LARGER = {"relax-forcing": {"window": 15}, "id-forcing": {"window": 12}}
STORY = Timeline(((0.0, "a red balloon"), (3.0, "a blue boat")))


def small(name: str):
    """A policy that makes room within a few chunks."""
    has = vars(make_policy(name))
    wanted = SMALL | THEIR_OWN | LARGER.get(name, {})
    return make_policy(name, **{setting: value for setting, value in wanted.items() if setting in has})


def made(pipeline, policy, chunks, **more):
    frames = 9 + 12 * (chunks - 1)
    return list(generate_long_video(pipeline, STORY, num_frames=frames, policy=policy, seed=3, **more))


def same(one, other) -> bool:
    return all(
        np.array_equal(a.frames, b.frames) and np.array_equal(a.latents, b.latents) and a.prompt == b.prompt
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_goes_on_bit_for_bit(name):
    pipeline, policy = small_pipeline(), small(name)
    whole = made(pipeline, policy, 11)
    for begun in (2, 7):
        gone_on = made(pipeline, policy, 11, past=Past.of(whole[:begun]))
        assert same(gone_on, whole)
        assert [chunk.again for chunk in gone_on] == [True] * begun + [False] * (11 - begun)
        for was, now in zip(whole, gone_on, strict=True):
            assert np.array_equal(was.cache.kept, now.cache.kept)


@pytest.mark.parametrize("policy", [DeepForcing(**SMALL, score="random"), small("id-forcing")], ids=lambda p: p.name)
@pytest.mark.parametrize("switch", ["reencode", "sink"])
def test_a_switch_of_the_past_is_made_again(switch, policy):
    pipeline = small_pipeline()
    whole = made(pipeline, policy, 9, switch=switch)
    assert same(made(pipeline, policy, 9, switch=switch, past=Past.of(whole[:6])), whole)


def test_it_may_go_on_otherwise():
    pipeline, policy = small_pipeline(), DeepForcing(**SMALL)
    whole = made(pipeline, policy, 8)
    past = Past.of(whole[:5])
    other = list(generate_long_video(pipeline, "a green kite", num_frames=93, policy=policy, seed=3, past=past))
    assert same(other[:5], whole[:5]) and [chunk.prompt for chunk in other[5:]] == ["a green kite"] * 3
    assert not np.array_equal(other[5].latents, whole[5].latents)
    with VideoStream(pipeline, "a", policy=make_policy("self-forcing"), num_frames=93, past=past) as stream:
        events = list(stream)
    assert events[-1] == StreamEnded("finished", 8) and same(events[1:6], whole[:5])


def test_a_trace_keeps_what_going_on_needs(tmp_path):
    pipeline, policy = small_pipeline(), DeepForcing(**SMALL)
    whole = made(pipeline, policy, 8)
    with VideoWriter(tmp_path / "run.mp4", pipeline.shape) as video, TraceWriter(tmp_path / "run.trace") as trace:
        trace.write(started_event(pipeline, "a red balloon", policy, 3))
        for chunk in whole[:6]:
            video.write(chunk.frames)
            trace.write(chunk)
        video.close()
        trace.finish(tmp_path / "run.mp4")
    chunks = list(read_trace(tmp_path / "run.trace"))[1:-1]
    assert same(made(pipeline, policy, 8, past=Past.of(chunks)), whole)
    assert len(Past.of(chunks, seconds=2.0, fps=16)) == 2  # chunks that end within two seconds: 9 and 21 frames


def test_a_command_goes_on_with_what_the_run_did_at_a_new_prompt(folder, tmp_path):  # noqa: F811
    def generate(*more):
        return main(["generate", "a red balloon", "--model", str(folder), "-o", str(tmp_path / "out.mp4"), *more])

    names = [str(tmp_path / f"{name}.trace") for name in ("whole", "begun", "on")]
    story = ["--at", "1s", "a blue boat", "--switch", "sink"]
    assert generate("--seconds", "4", *story, "--trace", names[0]) == 0
    assert generate("--seconds", "2.8", *story, "--trace", names[1]) == 0
    on = ["generate", "a blue boat", "--model", str(folder), "-o", str(tmp_path / "out.mp4"), "--from", names[1]]
    assert main([*on, "--seconds", "4", "--trace", names[2]]) == 0
    was, _, now = (list(read_trace(name)) for name in names)
    assert now[0].switch == "sink"
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(was[1:-1], now[1:-1], strict=True))


def test_a_command_goes_on_with_a_recorded_run(folder, tmp_path, capsys):  # noqa: F811
    def generate(*more):
        return main(["generate", "a red balloon", "--model", str(folder), *more])

    whole, begun, gone_on = (tmp_path / name for name in ("whole.mp4", "begun.mp4", "on.mp4"))
    settings = ["--window", "9", "--sink", "3", "--budget", "8", "--recent", "4", "--seed", "5"]
    assert generate("--seconds", "4", *settings, "-o", str(whole), "--trace", str(tmp_path / "whole.trace")) == 0
    assert generate("--seconds", "2", *settings, "-o", str(begun), "--trace", str(tmp_path / "begun.trace")) == 0
    trace = tmp_path / "on.trace"
    assert (
        generate("--from", str(tmp_path / "begun.trace"), "--seconds", "4", "-o", str(gone_on), "--trace", str(trace))
        == 0
    )
    was, now = (list(read_trace(tmp_path / name)) for name in ("whole.trace", "on.trace"))
    assert now[0].seed == 5 and now[0].settings == was[0].settings
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(was[1:-1], now[1:-1], strict=True))
    assert (
        generate(
            "--from", str(trace), "--after", "1.4s", "--seconds", "3", "--at", "2.5s", "a blue boat", "-o", str(begun)
        )
        == 0
    )
    capsys.readouterr()
    for more, words in (
        (["--after", "1s"], "--after goes with --from"),
        (["--from", str(trace), "--seconds", "3"], "--seconds must be more than the 0:04"),
        (["--from", str(whole)], "whole.mp4 cannot be read"),
        (["--from", str(trace), "--after", "0.1s"], "its latents were not kept"),
    ):
        assert generate("-o", str(begun), *more) == 2 and words in capsys.readouterr().err


def test_what_cannot_be_gone_on_with_is_refused():
    pipeline, policy = small_pipeline(), DeepForcing(**SMALL)
    whole = made(pipeline, policy, 2)
    for chunks in ([], [replace(whole[0], latents=None)]):
        with pytest.raises(SettingsError, match="its latents were not kept"):
            Past.of(chunks)
    for wrong in (whole[0].latents[:, :, :2], whole[0].latents.astype(np.float16)):
        with pytest.raises(SettingsError, match="another model, or another size"):
            made(pipeline, policy, 3, past=Past(("a",), (wrong,)))
