"""The page for everybody: no serious finding of axe-core, light and dark; the tour and the terms, by keys too."""

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from browsing import expect
from chromium import drawer, look, open_tab, until_it_works, visit, wait

from deepforcing import load_pipeline
from ui.app import App
from ui.lessons.quiz import read_quiz
from ui.recordings.library import Recordings
from ui.replay import ReplayApp

AXE = Path(os.environ.get("AXE_CORE", Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"))
DRAWERS = ("Drift", "Layers and heads", "Attention over time", "Meter", "Settings", "Break it")
GO_TO = "(search) => document.querySelector('#lesson-player .df').player.tell.arrive({ search })"
FINDINGS = """async ([where, only]) =>
  (await axe.run(where ?? document, { resultTypes: ["violations"], ...only })).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).slice(0, 5).join(" | ")}`)"""


@pytest.fixture(scope="module")
def app():
    app = App(load_pipeline("tiny"))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture(scope="module")
def replay():
    app = ReplayApp(Recordings.shipped())
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.mark.parametrize(
    ("theme", "only"),
    [("light", {}), ("dark", {"runOnly": ["color-contrast"]})],  # the rest is the same
)
def test_nothing_serious_on_any_tab_or_drawer(app, browser, trouble, theme, only):
    def findings(page, where=None) -> list[str]:
        page.add_script_tag(path=AXE)
        return page.evaluate(FINDINGS, [where, only])

    if not AXE.exists() and os.environ.get("CI") != "true":
        pytest.skip("axe-core is not installed: npm install --no-save axe-core, or name its axe.min.js in AXE_CORE")
    page = visit(f"{app.blocks.local_url}?__theme={theme}", browser, trouble)
    page.add_style_tag(content="* { transition: none !important; }")  # colours on their way are nobody's
    wait(page, "p.clock?.ended && p.instrument.axis")
    page.get_by_role("button", name="More ...").click()
    assert findings(page) == []
    for name in DRAWERS:
        drawer(page, name)
        wait(page, "p.waiting === 0")  # panels are drawn one after another
        assert findings(page) == [], name
    look(page, "p.choose({ latent: 1, row: 1, column: 1 })")
    wait(page, "p.waiting === 0")
    assert findings(page) == [], "Look inside"
    for name, there in (("Race", "#race-start"), ("Learn", "button.card >> nth=0")):
        page.get_by_role("tab", name=name, exact=True).click()
        expect(page.locator(there)).to_be_visible()
        assert findings(page) == [], name
    page.locator(".quiz summary").click()
    assert findings(page) == [], "the quiz"
    lessons = app.page.learn.lessons
    for lesson in lessons[2:3] if only else lessons:  # the third has slider and choices: their colours are alike
        for number, step in enumerate(lesson.steps, 1):
            go_to(page, f"?lesson={lesson.name}&step={number}", step.heading)
            expect(page.locator("#lesson-progress")).to_contain_text(f"{lesson.title} Step {number} of")
            assert findings(page, "#lesson") == [], f"{lesson.title}, {step.heading}"
    page.close()


def go_to(page, search: str, heading: str) -> None:
    """Ask for a step until it is there."""
    there = expect(page.locator("#lesson-words h2")).to_have_text
    until_it_works(lambda: page.evaluate(GO_TO, search), lambda timeout: there(heading, timeout=timeout))


def test_the_tour_is_offered_once_and_stops_where_it_matters(replay, browser, trouble):
    page = open_tab(replay, browser, trouble, new_here=True)
    box = page.get_by_role("dialog", name="A tour of a minute")
    expect(box).to_contain_text("New here?")
    box.get_by_role("button", name="Start the tour").click()
    seen = []
    while box.is_visible():
        wait(page, "p.shownChunk === p.tour.stops[p.tour.at].chunk && !p.clock.playing")
        seen.append(look(page, "[p.shownChunk.first / 16, Boolean(p.shownChunk.compression)]"))
        assert page.locator("[data-toured]").count() == 1
        page.keyboard.press("ArrowRight")
    assert len(seen) >= 4 and seen == sorted(seen) and seen[0] == [0, False]
    assert seen[2][1] and seen[-1][0] - seen[2][0] > 15, "the first compression, and long after"
    page.get_by_role("button", name="Take the tour").click()
    expect(box).to_contain_text(f"1 of {len(seen)}")
    page.keyboard.press("Escape")
    expect(box).to_be_hidden()
    page.reload()
    wait(page, "p.clock?.ended && p.shownChunk")
    expect(box).to_be_hidden()
    page.close()


SMALL = """() => [...document.querySelectorAll("button:not(.term), a[href], input, select, summary")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => !one.closest("[aria-hidden=true], .skip, .df-marks"))
  .map((one) => [one, (one.closest("label:has([type=radio], [type=checkbox])") ?? one).getBoundingClientRect()])
  .filter(([one, { width, height }]) => width > 1 && height > 1 && (width < 44 || height < 44))
  .map(([one, { width, height }]) => `${one.outerHTML.slice(0, 80)}: ${width} x ${height}`)"""


def test_what_is_pressed_is_wide_enough_for_a_thumb_and_headings_go_down_by_steps(app, browser, trouble):
    page = open_tab(app, browser, trouble, viewport={"width": 420, "height": 900}, has_touch=True, is_mobile=True)
    wait(page, "p.clock?.ended && p.instrument.axis")
    page.get_by_role("button", name="More ...").click()
    for name in (*DRAWERS, "Race", "Learn"):
        page.get_by_role("tab", name=name, exact=True).click()
        assert page.evaluate(SMALL) == [], name
        levels = page.locator("h1:visible, h2:visible, h3:visible, h4:visible").evaluate_all(
            "(all) => all.map(({ tagName }) => Number(tagName[1]))"
        )
        assert levels[0] == 1 and all(later <= before + 1 for before, later in pairwise(levels)), name
    page.close()


def test_who_makes_a_video_of_their_own_has_no_offer_on_it(app, browser, trouble):
    page = open_tab(app, browser, trouble, new_here=True)
    box = page.get_by_role("dialog", name="A tour of a minute")
    expect(box).to_contain_text("New here?")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(box).to_be_hidden()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    page.close()


def test_a_term_says_what_it_means_by_pointer_by_keys_and_by_tap(replay, browser, trouble):
    page = visit(replay, browser, trouble)
    wait(page, "p.clock?.ended && p.instrument.axis")
    term, tip = page.locator(".df-groups").get_by_role("button", name="sink"), page.get_by_role("tooltip")
    for reach in (term.hover, term.focus, term.click):
        reach()
        expect(tip).to_have_text("The first frames, kept for ever, so that the video stays tied to how it began.")
        page.keyboard.press("Escape")
        expect(tip).to_be_hidden()
        term.blur()
        page.mouse.move(0, 0)
    page.close()


def test_a_recording_ends_with_an_offer_and_waiting_is_said_on_every_panel(app, browser, trouble):
    page = visit(app, browser, trouble)
    wait(page, "p.clock?.ended && p.instrument.axis")
    look(page, "p.seek(p.clock.newest - 2), p.pause(false)")
    page.get_by_role("button", name="Now make your own").click()
    expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    look(page, "p.accept({ run: '~', seq: 0, kind: 'waiting', ahead: 1 })")
    said = "(all) => all.map((card) => getComputedStyle(card, '::before').content)"
    words = page.locator(".df-card:visible").evaluate_all(said)
    assert len(words) > 1 and all("a recorded run, while you wait" in word for word in words)
    page.evaluate("new BroadcastChannel('deep-forcing').postMessage('mine')")
    expect(page.locator("#player .df-overlay")).to_contain_text("one by your own other tab")
    page.close()


def test_the_quiz_is_the_readers_own_and_terms_and_progress_are_marked(replay, browser, trouble):
    page = visit(f"{replay.blocks.local_url}?lesson=1-a-model-that-forgets&step=1", browser, trouble)
    sent = []
    page.locator("#lesson-words").get_by_role("button", name="chunk", exact=False).first.hover()
    expect(page.get_by_role("tooltip")).to_contain_text("made in one go")
    page.locator("#lesson-next").click()
    expect(page.locator("#lesson-words h2")).to_have_text("Your first prediction")
    page.locator("#lesson-leave").click()
    expect(page.locator("button.card").first).to_have_attribute("data-at", "step 2 of 8")
    page.wait_for_function("[...document.querySelectorAll('button.card img')].every((img) => img.naturalWidth > 100)")
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.locator(".quiz summary").click()
    answer(page, [0] * 6)
    expect(page.locator(".quiz summary")).to_contain_text("after the lessons")
    assert page.locator(".quiz table").count() == 0, "before, nothing is told"
    answer(page, [question.right for question in read_quiz()])
    expect(page.locator(".quiz table")).to_be_visible()
    rows = [row.locator("td").all_inner_texts() for row in page.locator(".quiz tr").all()[1:]]
    assert rows[-1] == ["2 of 6", "6 of 6"] and rows[1] == ["not yet", "right"]
    assert not any("question-" in text or "quiz" in text for text in sent), "an answer left the device"
    page.wait_for_url(re.compile(r"[?]tab=learn$"))
    page.reload()
    expect(page.locator(".quiz summary")).to_contain_text("before and after")
    expect(page.locator("button.card").first).to_have_attribute("data-at", "step 2 of 8")
    page.close()


def answer(page, choices) -> None:
    for number, choice in enumerate(choices):
        page.locator(f".quiz input[name=question-{number}]").nth(choice).check()
    page.get_by_role("button", name="These are my answers").click()
