"""What a video starts from, and what is said of it before."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
from conftest import small_pipeline
from PIL import Image

from deepforcing import DeepForcing
from deepforcing.captions import Caption, caption_in
from ui.hosting.sessions import Sessions
from ui.prompts.start import StartFrom
from ui.runs.run import VideoOrder

PIPELINE = small_pipeline()


@pytest.fixture
def start():
    with gr.Blocks():
        made = StartFrom(small=True, badge=gr.Button())
        made.wire(gr.Textbox(), lambda: PIPELINE)
    return made


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "mine.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(path)
    return str(path)


def test_nothing_is_chosen_at_first(start):
    view, words, badge = start.look(None)
    assert start.frames(None) is None and not view["visible"] and words == "" and not badge["visible"]


def test_a_picture_is_seen_beside_what_the_model_makes_of_it(start, picture):
    view, words, badge = start.look(picture)
    given = start.frames(picture)
    assert view["visible"] and badge["visible"] and view["value"].shape == (32, 96, 3)
    assert np.array_equal(view["value"][:, :48], given[-1])
    assert np.array_equal(view["value"][:, 48:], PIPELINE.redrawn(given)[-1])
    assert "keeps little of it" in words, "random weights draw nothing"


def test_what_is_no_picture_is_told_and_stays_to_be_taken_away(start, tmp_path):
    path = tmp_path / "words.png"
    path.write_text("no picture")
    view, words, badge = start.look(str(path))
    assert "words.png is no picture" in words and not view["visible"] and badge["visible"]


def test_the_run_begins_with_it(start, picture):
    order = VideoOrder(
        "a red balloon", 7, DeepForcing(window=9, sink=3, budget=8, recent=4), 33, start=start.frames(picture)
    )
    messages = Sessions(PIPELINE).play("a", order, hurry=True)
    chunks = [message for message, _ in messages if message["kind"] == "chunk"]
    assert [chunk["again"] for chunk in chunks] == [True, False, False]
    drawn = Image.fromarray(PIPELINE.redrawn(start.frames(picture))[0])
    shown = Image.open(io.BytesIO(base64.b64decode(chunks[0]["frames"][0])))
    assert np.abs(np.asarray(shown, int) - np.asarray(drawn, int)).mean() < 12, "but for the coding of pictures"


def test_the_frame_on_screen_is_taken_as_the_script_tells_it(start):
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), (200, 30, 30)).save(buffer, "WEBP", lossless=True)
    told = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    taken = start.take(told)  # the file lives as long as this
    path, words = next(taken)
    assert words == "" and np.asarray(start.frames(path))[0, 0, 0].tolist() == [200, 30, 30]


@pytest.mark.parametrize(
    "told", ["", None, "data:image/png;base64,AAAA", "data:image/webp;base64,A", "data:text/html,<b>"]
)
def test_what_is_no_frame_is_not_taken(start, told):
    ((path, words),) = start.take(told)
    assert not isinstance(path, str) and "no frame on the screen" in words


def test_the_prompt_is_drawn_another_one_each_time(start):
    drawings = []
    for _ in range(3):
        drawn = start.draw("a blue kite over the desert")
        path, words = next(drawn)
        drawings.append(start.frames(path)[0].tobytes())
        assert words == ""
    assert len(set(drawings)) > 1
    ((path, words),) = start.draw("nothing that there is")
    assert not isinstance(path, str) and "Only what the small world has" in words


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("A scarlet sailing boat, rocking above the ocean at dusk; camera panning left!",
         Caption("boat", "red", "swaying", "sea", "sunset", "left")),
        ("snowy white star over snowy mountains at night", Caption("star", "white", "drifting", "mountains", "night")),
        ("a fish in the desert", Caption("fish", "red", "drifting", "desert", "sunset")),
        ("a teapot at noon", None),
    ],
)  # fmt: skip
def test_a_prompt_is_read_as_a_caption(text, caption):
    assert caption_in(text) == caption
