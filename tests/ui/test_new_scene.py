"""Settings of a run that goes on: a new scene, which empties its cache, by its button and where what was touched needs
it; denoising steps; and how strong a LoRA is."""

from functools import partial

import pytest
import torch
from browsing import expect
from chromium import drawer, look, until_it_works, wait
from safetensors.torch import save_file

from deepforcing import Loading, load_pipeline, read_trace
from ui.app import App
from ui.recordings.library import Recordings

CHANGES = "[...document.querySelectorAll('#player .df-marks [data-kind=change]')].map(({ title }) => title)"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    style = tmp_path_factory.mktemp("loras") / "style <b>.safetensors"
    halves = {"lora_A": torch.randn(2, 320), "lora_B": torch.randn(320, 2)}
    save_file({f"transformer.blocks.0.attn1.to_q.{half}.weight": value for half, value in halves.items()}, style)
    app = App(load_pipeline("tiny", loading=Loading(loras=((style, 0.0),))), recordings=Recordings([]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def follows(page, condition: str) -> None:
    """Wait until the newest chunk is so, and look at it."""
    wait(page, f"(({{ origin, told, run }}) => {condition})(p.history.chunks.at(-1))")
    look(page, "p.seek(p.clock.newest - 1)")


def test_a_new_scene_begins_with_an_empty_cache_and_its_own_sink(page, tmp_path):
    said, now = page.locator("#live-note"), page.get_by_role("button", name="Take it up now, with an empty cache")
    scene = page.get_by_role("button", name="New scene: empty the cache")
    drawer(page, "Break it")
    scene.click()
    expect(said).to_contain_text("press Generate first")
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history?.chunks.length >= 2")
    scene.click()
    expect(said).to_contain_text("New scene from second")
    expect(now).to_be_hidden()
    follows(page, "origin > 0 && told.includes('of this scene')")
    wait(page, "p.shownChunk?.origin > 0")
    expect(page.locator(".df-told")).to_contain_text("of this scene")
    first = look(page, "p.history.chunks.at(-1).origin")
    assert look(page, f"p.history.chunks.filter(({{ origin }}) => origin === {first})[0].latents[0]") == first

    drawer(page, "Settings")
    steps = page.get_by_role("spinbutton", name="Denoising steps")
    steps.fill("2")
    steps.press("Tab")
    expect(said).to_contain_text("Denoising steps: 2, from second")
    wait(page, f"({CHANGES}).length >= 2")  # else one mark stands for this and the next
    strength = page.get_by_role("spinbutton", name="LoRA 1: style <b>.safetensors")
    strength.fill("0.5")
    strength.press("Tab")
    expect(said).to_contain_text("LoRA 1: 0.5, from second")
    wait(page, f"({CHANGES}).length >= 3")
    page.locator("#policy").get_by_text("attention-sink").first.click()
    expect(said).to_contain_text("Another policy starts with an empty cache")
    scene_is_said = partial(expect(said).to_contain_text, "New scene from second")
    until_it_works(lambda: now.click(timeout=5000), scene_is_said)  # a click is lost while the button is drawn anew
    expect(now).to_be_hidden()
    follows(page, f"origin > {first} && run.policy === 'attention-sink' && run.settings.budget === undefined")
    titles = look(page, CHANGES)
    assert titles[0] == "Settings: new scene" and titles[1] == "Settings: steps 4 → 2"
    assert titles[2] == "Settings: lora 1: style <b>.safetensors 0.0 → 0.5"
    assert titles[3].startswith("Settings: new scene, policy deep-forcing → attention-sink")
    page.get_by_role("button", name="Stop", exact=True).click()
    with page.expect_download() as download:
        page.locator("#save-trace").click()
    download.value.save_as(tmp_path / "run.trace")
    assert [sorted(change.after)[:2] for change in read_trace(tmp_path / "run.trace").changes][:3] == [
        ["scene"],
        ["steps"],
        ["lora 1: style <b>.safetensors"],
    ]
