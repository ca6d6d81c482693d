"""Every lesson as a reader meets it: from its card to the picture, with the model and, on a phone, without."""

import io
from pathlib import Path

import pytest
from browsing import expect
from chromium import INKED, open_tab, until_it_works
from conftest import soon
from PIL import Image

from deepforcing import load_pipeline, read_runner
from ui.app import App
from ui.lessons.lesson import Ask, Broken, Compare, Lesson, Picture, Run
from ui.lessons.library import read_lessons
from ui.recordings.library import Recordings
from ui.replay import ReplayApp

FIXTURES = Path(__file__).parents[1] / "fixtures" / "lessons"
LESSONS = {lesson.name: lesson for lesson in read_lessons(Recordings.shipped(), read_runner, FIXTURES)}
WHOLE = [name for name, lesson in LESSONS.items() if isinstance(lesson, Lesson)]
PLAYER = "document.querySelector('#lesson-player .df')?.player"


@pytest.fixture(scope="module")
def app():
    app = App(load_pipeline("tiny"), lessons=FIXTURES)
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture(scope="module")
def replay():
    app = ReplayApp(Recordings.shipped(), FIXTURES)
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture
def tab(browser):
    """Opens a page of an app, or of an address, at its lessons."""
    trouble, pages = [], []

    def opens(app, width: int = 1440):
        page = open_tab(app, browser, trouble)
        page.set_viewport_size({"width": width, "height": 900})
        pages.append(page)
        return page

    yield opens
    for page in pages:
        page.close()
    assert not trouble


def until(page, condition: str) -> None:
    """p: the lesson's player."""
    page.wait_for_function(f"(() => {{ const p = {PLAYER}; return Boolean(p) && ({condition}); }})()", timeout=300_000)


def begin(page, lesson: Lesson) -> None:
    page.get_by_role("tab", name="Learn").click()
    card = page.locator("button.card", has_text=lesson.title)
    until_it_works(lambda: card.click(timeout=5000), expect(page.locator("#lesson-words h2")).to_be_visible)


def walk(page, lesson: Lesson, live: bool) -> dict[str, str]:
    """All steps; returns what the comparisons said, by the step's heading."""
    said = {}
    for number, step in enumerate(lesson.steps, 1):
        expect(page.locator("#lesson-progress")).to_contain_text(f"Step {number} of {len(lesson.steps)}")
        expect(page.locator("#lesson-words h2")).to_have_text(step.heading)
        match step.block:
            case Ask():
                predict(page, step.block)
            case Run() if live or step.block.trace:
                experiment(page, step.block)
            case Run():
                expect(page.locator("#lesson-note")).to_contain_text("needs the model")
            case Compare():
                expect(page.locator(".lesson-found")).not_to_be_empty()
                said[step.heading] = page.locator(".lesson-found").inner_text()
            case Picture():
                take_home(page)
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        expect(page.locator("#lesson-next")).to_be_enabled()
        page.locator("#lesson-next").click()
    expect(page.locator("button.card", has_text=lesson.title)).to_be_visible()
    return said


def predict(page, ask: Ask) -> None:
    commit = page.get_by_role("button", name="That is my")
    expect(commit).to_be_visible()
    expect(page.locator("#lesson-next")).to_be_disabled()
    if isinstance(ask.form, tuple):
        page.get_by_role("radio", name=ask.form[0], exact=True).check()
    elif hasattr(ask.form, "points"):
        sketch(page, ask.form.points)
    commit.click()
    expect(page.locator("#lesson-note")).to_contain_text("Now see what happens.")
    expect(commit).to_be_hidden()


def sketch(page, points: int) -> None:
    """With the keyboard the first points, with the pointer the last ones."""
    pad = page.locator("#lesson-sketch svg")
    pad.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    expect(pad).to_have_attribute("aria-valuetext", f"point 2 of {points}: 45 %")
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.9 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + 5)
    page.mouse.up()
    expect(pad).to_have_attribute("aria-valuetext", f"point {points} of {points}: 100 %")


def experiment(page, run: Run) -> None:
    """From its recording, where there is one; else live, and stopped when there is enough."""
    expect(page.locator("#lesson-next")).to_be_disabled()
    if run.trace:
        page.get_by_role("button", name="Play the recording").click()
        until(page, "p.history?.run.recorded && p.clock.ended && p.stage.shown >= 0")
    else:
        page.get_by_role("button", name="Run it", exact=True).click()
        until(page, "p.history && !p.history.run.recorded && p.clock.newest > 8.5 * p.history.run.fps")
        page.get_by_role("button", name="Stop here").click()
        until(page, "p.clock.ended")
    expect(page.locator("#lesson-note")).to_contain_text("are measured")
    for panel, name in {"attention": "bars", "rope": "rope", "roles": "shares", "life": "life"}.items():
        drawn = f"({INKED})(p.root.querySelector('.df-{name}'))"
        until(page, drawn if panel in run.panels else "true")
    shown = page.locator("#lesson-player [data-panel]:visible").evaluate_all("(all) => all.map((e) => e.dataset.panel)")
    assert set(shown) == {"video", *run.panels}


def take_home(page) -> None:
    expect(page.locator("#lesson-image img")).to_be_visible()
    with page.expect_download() as download:
        page.locator("#lesson-download").click()
    picture = Image.open(io.BytesIO(Path(download.value.path()).read_bytes()))
    assert download.value.suggested_filename.endswith(".png") and picture.format == "PNG" and picture.width >= 1000


@pytest.mark.parametrize("name", WHOLE)
def test_a_lesson_can_be_walked_through(app, tab, name):
    page = tab(app)
    begin(page, LESSONS[name])
    said = walk(page, LESSONS[name], live=True)
    if name == "window":
        assert said["The share"] == "You said 50 %. This run: 0 %: much less than you thought."
        assert "which is “Less than 5 %”: as you thought." in said["The colours"]
        assert "area is shared with your curve" in said["The curve"]
    assert not any("Not run here" in words for words in said.values())


def test_on_a_phone_without_a_model_the_video_stays_in_sight(replay, tab):
    page = tab(replay, width=420)
    begin(page, LESSONS["window"])
    said = walk(page, LESSONS["window"], live=False)
    assert said["Both"].startswith("Not run here: “sink”")
    page.goto(f"{replay.blocks.local_url}?lesson=window&step=5")
    page.get_by_role("button", name="Play the recording").click()
    until(page, "p.clock?.ended && p.stage.shown >= 0")
    boxes = [page.locator(part).bounding_box() for part in ("#lesson-player canvas >> nth=0", "#lesson-words h2")]
    attention = page.locator(".df-bars:visible").bounding_box()
    assert boxes[0]["y"] < boxes[1]["y"] < attention["y"] and boxes[0]["width"] > 300
    attention = page.locator("#lesson-player [data-panel=rope]")
    attention.scroll_into_view_if_needed()
    top = page.locator("#lesson-player .df-video").bounding_box()
    assert 0 <= top["y"] < 20 and top["height"] < 450, "the video scrolled away, or covers the page"


def test_a_broken_lesson_says_what_is_wrong_and_runs_nothing(app, tab):
    page = tab(app)
    assert isinstance(LESSONS["broken"], Broken)
    page.get_by_role("tab", name="Learn").click()
    card = page.get_by_role("alert").filter(has_text="broken.md")
    expect(card).to_contain_text("broken.md, step 1 (Run it): unknown policy 'deep-wish'")
    assert soon(lambda: app.sessions.active == 0) and page.locator("button.card", has_text="Broken").count() == 0


def test_another_tab_ends_the_run(app, tab):
    page = tab(f"{app.blocks.local_url}?lesson=window&step=7")
    page.get_by_role("button", name="Run it", exact=True).click()
    until(page, "p.clock?.newest > 20")
    page.get_by_role("tab", name="Race").click()
    page.get_by_role("tab", name="Learn").click()
    until(page, "p.root.dataset.ended === 'stopped'")
    expect(page.get_by_role("button", name="Run it", exact=True)).to_be_visible()
    assert soon(lambda: app.sessions.active == 0)
