"""The address says what is on the page, a link brings it back, and Back goes from tab to tab."""

import re

import pytest
from browsing import expect
from chromium import late_tab, look, page_was_left, until_it_works, wait
from test_trace import record, run

from deepforcing import load_pipeline
from ui.app import App
from ui.recordings.library import Recordings

ANSWERS = "**/gradio_api/queue/join*"
QUICK_LOOKS = """
const [every, say] = [setInterval, history.replaceState];
window.setInterval = (look, wait, ...more) => every(look, wait === 1000 ? 20 : wait, ...more);
window.said = [];
history.replaceState = (...what) => (said.push(String(what[2])), say.apply(history, what));
"""  # a slow page, told by a quick clock: fifty looks at the address a second; what it said


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    app = App(load_pipeline("tiny"), recordings=Recordings.shipped(record(tmp_path_factory.mktemp("address"), run())))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def tab(page, name):
    return page.get_by_role("tab", name=name, exact=True)


def test_the_address_follows_and_back_goes_between_tabs(page, trouble):
    length = page.evaluate("history.length")
    tab(page, "Race").click()
    page.wait_for_url(re.compile(r"[?]tab=race$"))
    tab(page, "Learn").click()
    page.wait_for_url(re.compile(r"[?]tab=learn$"))
    card, words = page.locator("button.card").first, page.locator("#lesson-words h2")
    until_it_works(lambda: card.click(timeout=5000), expect(words).to_be_visible)
    page.wait_for_url(re.compile(r"[?]tab=learn&lesson=[\w-]+&step=1$"))
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_url(re.compile(r"&step=2$"))
    link = page.url
    assert page.evaluate("history.length") == length + 2, "only tabs are steps of Back"
    page.go_back()
    expect(tab(page, "Race")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(tab(page, "Watch")).to_have_attribute("aria-selected", "true")
    page.goto(link)
    expect(tab(page, "Learn")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#lesson [data-lesson]")).to_have_attribute("data-step", "2")
    page_was_left(trouble)


def test_a_moment_of_a_recording_is_in_the_address_and_comes_back(page, trouble):
    wait(page, "p.clock?.newest > 60 && p.stage.shown >= 0")
    assert "trace" not in page.url, "what nobody asked for is not said"
    look(page, "(p.pause(true), p.seek(48))")
    page.wait_for_url(re.compile(r"[?]trace=run&t=3.00$"))
    page.goto(page.url)
    wait(page, "p.stage?.shown === 48 && !p.clock.playing")
    page_was_left(trouble)


def test_a_panel_is_not_said_longer_than_its_recording(app, page, trouble):
    page.goto(f"{app.blocks.local_url}?trace=run&t=3.00&panel=cache")
    wait(page, "p.stage?.shown === 48")
    tab(page, "Race").click()
    page.wait_for_url(re.compile(r"/[?]tab=race$"))
    page_was_left(trouble)


def test_a_links_moment_stays_in_the_address_however_late_it_is(app, browser, trouble):
    page = late_tab(browser, trouble, ANSWERS, seconds=2)
    page.add_init_script(QUICK_LOOKS)
    page.goto(f"{app.blocks.local_url}?trace=run&t=3.00")
    wait(page, "p.stage?.shown === 48")
    assert [address for address in page.evaluate("said") if "trace=run" not in address] == []
    page.close()


def test_a_link_to_a_tab_opens_it(app, page, trouble):
    page.goto(f"{app.blocks.local_url}?tab=race")
    expect(tab(page, "Race")).to_have_attribute("aria-selected", "true")
    tab(page, "Watch").click()
    page.wait_for_url(re.compile(r"/$"))
    page.wait_for_timeout(2500)  # more than two looks at the address
    expect(tab(page, "Watch")).to_have_attribute("aria-selected", "true")
    page_was_left(trouble)


def test_a_link_is_kept_however_late_its_lesson_is(app, browser, trouble):
    page = late_tab(browser, trouble, ANSWERS, seconds=3)
    page.add_init_script(QUICK_LOOKS)
    page.goto(f"{app.blocks.local_url}?lesson=4-time-travel&step=2")
    expect(page.locator("#lesson [data-lesson]")).to_have_attribute("data-step", "2")
    page.wait_for_url(re.compile(r"[?]tab=learn&lesson=4-time-travel&step=2$"))
    assert [address for address in page.evaluate("said") if "lesson=4-time-travel&step=2" not in address] == []
    page.close()
