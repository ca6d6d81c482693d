"""A headless browser at the app's page, and questions to the player in it."""

import time
from contextlib import suppress
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()
INKED = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Uint32Array(data.buffer).some(Boolean);
}"""
PLAYER = "document.querySelector('.df').player"
PATIENCE = 200  # seconds that anything on a page may take: an idle machine needs a fraction, a slow one a third


def visit(app, browser, trouble):
    """A tab at the app, or at an address, with its player in place."""
    page = open_tab(app, browser, trouble)
    page.wait_for_function(f"document.querySelector('.df') && {PLAYER}")
    return page


def open_tab(app, browser, trouble, new_here: bool = False, **screen):
    """new_here: the page offers its tour, as it does once in a browser. screen: Playwright's, of a desk without it."""
    page = browser.new_page(**{"viewport": {"width": 1440, "height": 900}, "accept_downloads": True} | screen)
    page.set_default_timeout(1000 * PATIENCE)
    if not new_here:
        page.add_init_script("localStorage.setItem('deep-forcing-tour', 'yes')")
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(app if isinstance(app, str) else app.blocks.local_url)
    return page


def late_tab(browser, trouble, requests: str, seconds: float):
    """A blank tab in which what these requests ask for comes so much later."""
    page = open_tab("about:blank", browser, trouble)
    page_was_left(trouble)
    page.route(requests, lambda route: (time.sleep(seconds), route.continue_()))
    return page


def look(page, expression: str):
    return page.evaluate(f"(() => {{ const p = {PLAYER}; return {expression}; }})()")


def drawer(page, name: str) -> None:
    """Open one of the player's drawers."""
    page.get_by_role("tablist", name="More").get_by_role("tab", name=name).click()


def wait(page, condition: str, seconds: float = PATIENCE) -> None:
    """Until the player `p` is there and the condition holds."""
    asked = f"(() => {{ const p = document.querySelector('.df')?.player; return Boolean(p) && ({condition}); }})()"
    page.wait_for_function(asked, timeout=1000 * seconds)


def until_it_works(press, seen) -> None:
    """Press until what was asked for is there: Gradio takes no click while a tab is being opened, and none twice."""
    for seconds in (5, 5, 10, 20, 40, 80):  # on a slow machine what follows a press that counts takes longer
        with suppress(Exception):
            press()
        with suppress(AssertionError):
            return seen(timeout=1000 * seconds)
    raise AssertionError("what was pressed did nothing")


def page_was_left(trouble: list[str]) -> None:
    """Forget what Gradio says of requests that a new page breaks off; dialogs are never forgotten."""
    trouble[:] = [told for told in trouble if told.startswith("dialog: ")]
