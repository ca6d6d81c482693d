"""A run that is over goes on from any second of it, with what the page asks for now."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import small_pipeline
from test_trace import POLICY, record, run

from deepforcing import Chunk, SettingsChanged, SettingsError, Timeline, VideoShape, generate_long_video, read_trace
from ui.hosting.sessions import Sessions
from ui.player.messages import Codec
from ui.runs.gone_on import gone_on
from ui.runs.run import VideoOrder

PIPELINE = small_pipeline()


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """113 frames, 9 and then 12 a chunk; the prompt is another one from the fifth chunk on."""
    return read_trace(record(tmp_path_factory.mktemp("on"), run()))


def order(prompt="a red balloon", frames=None, policy=POLICY) -> VideoOrder:
    return VideoOrder(prompt, 7, policy, frames)


def test_it_has_the_chunks_that_were_whole_by_then_and_its_own_length_comes_after(trace):
    on = gone_on(order(frames=48), trace, 35 / 16, PIPELINE)  # the third chunk ends at 33, the fourth at 45
    assert len(on.past) == 3 and on.begun == 33 / 16 and on.num_frames == 33 + 48
    assert (
        gone_on(order(), trace, 45 / 16, PIPELINE).begun == 45 / 16
        and gone_on(order(), trace, 99, PIPELINE).num_frames is None
    )


def test_its_prompts_are_those_that_were_and_then_those_that_are_asked_for(trace):
    later = Timeline(((0.0, "a boat"), (2.0, "too early"), (9.0, "a star")), (0, 0, 2), "spherical")
    story = gone_on(order(later), trace, 69 / 16, PIPELINE).prompt
    was = Timeline(tuple(trace.prompts)).entries
    assert len(was) == 2 and story.entries == (*was, (69 / 16, "a boat"), (9.0, "a star"))
    assert story.melts == (0, 0, 0, 2) and story.way == "spherical"


def test_the_video_is_that_of_a_run_that_was_never_interrupted(trace):
    messages = Sessions(small_pipeline()).play("a", gone_on(order(frames=36), trace, 45 / 16, PIPELINE), hurry=True)
    told = [message for message, _ in messages]
    chunks = [message for message in told if message["kind"] == "chunk"]
    assert told[0]["begun"] == 45 / 16 and [chunk["again"] for chunk in chunks] == [True] * 4 + [False] * 3
    codec = Codec.of(32, 48)
    whole = generate_long_video(small_pipeline(), "a red balloon", num_frames=81, policy=POLICY, seed=7)
    for chunk, message in zip(whole, chunks, strict=True):
        assert message["frames"] == [codec.encode(frame) for frame in chunk.frames], chunk.index


def test_what_is_there_already_is_not_waited_with(trace):
    """A page that stands at the beginning, and does not play, gets all of it and a little more."""
    messages = Sessions(small_pipeline()).play("a", gone_on(order(), trace, 99, PIPELINE))
    seen = 0
    for message, _ in messages:
        if message["kind"] == "chunk":
            seen = message["first"] + len(message["frames"])
            if seen > 113:
                messages.close()
                break
    assert seen > 113


def test_without_latents_it_goes_on_from_the_pictures(trace, tmp_path):
    events = [replace(event, latents=None) if isinstance(event, Chunk) else event for event in run(frames=33)]
    older = read_trace(record(tmp_path, events))
    made, drawn = (gone_on(order(), one, 33 / 16, PIPELINE).past for one in (trace, older))
    assert drawn.prompts == made.prompts and [part.shape for part in drawn.latents] == [
        part.shape for part in made.latents
    ]
    frames = np.concatenate([chunk.frames for chunk in older if isinstance(chunk, Chunk)])
    assert np.array_equal(np.concatenate(drawn.latents), PIPELINE.latents(frames))
    with pytest.raises(SettingsError, match="its latents were not kept"):
        gone_on(order(), older, 33 / 16, PIPELINE, encode=False)


@pytest.mark.parametrize(
    ("shape", "seconds", "words"),
    [(VideoShape(32, 64), 3.0, "another size"), (VideoShape(32, 48), 0.2, "at 0.2 s: its first chunk ends later")],
)
def test_what_cannot_be_gone_on_with_is_refused(trace, shape, seconds, words):
    with pytest.raises(SettingsError, match=words):
        gone_on(order(), trace, seconds, replace(PIPELINE, shape=shape))


def test_the_scenes_of_a_run_stay_and_its_other_settings_do_not(trace):
    changes = (
        SettingsChanged(1, {"scene": 0, "sink": 3}, {"scene": 1, "sink": 2}),
        SettingsChanged(2, {"sink": 2}, {"sink": 1}),
        SettingsChanged(6, {"scene": 1}, {"scene": 2}),
    )
    on = gone_on(order(), replace(trace, index=replace(trace.index, changes=changes)), 45 / 16, PIPELINE)
    assert on.past.changes == (SettingsChanged(1, {"scene": 0}, {"scene": 1}),)
