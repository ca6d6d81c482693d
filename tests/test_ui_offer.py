"""What is told before a published model is fetched, and how its making ready is followed."""

import pytest
import torch

from deepforcing import SOURCES, AttentionSink, DeepForcing, Loading, Progress, needs, needs_of, readable
from deepforcing.memory import Room
from ui.offer import offer_of, prepare

SELF_FORCING = SOURCES["self-forcing"]


@pytest.fixture
def nothing_here(monkeypatch):
    monkeypatch.setattr(needs, "present", lambda source, parts: {})
    monkeypatch.setattr(needs, "best_device", lambda: torch.device("cpu"))


def offered(agreed: bool = False, source=SELF_FORCING, loading=Loading(), policy=DeepForcing()):  # noqa: B008
    return offer_of(needs_of(source, loading, policy), agreed)


def test_an_offer_names_files_licences_and_memory(nothing_here):
    offer = offered()
    for part in SELF_FORCING.choose():
        assert part.repo in offer.text and part.licence in offer.text and readable(part.bytes) in offer.text
    assert "To fetch: **28.9 GB**" in offer.text and "taehv" not in offer.text
    assert "832 × 480 and a window of 21" in offer.text and "keys and values" in offer.text
    assert "transformer" in offer.consent and offer.asks
    agreed = offered(agreed=True)
    assert agreed.consent is None and not agreed.asks


def test_the_small_decoder_takes_the_place_of_the_full_one(nothing_here):
    offer = offered(
        source=SOURCES["longlive"], loading=Loading("small", height=240, width=416), policy=AttentionSink(12, 3)
    )
    assert "taehv" in offer.text and "| vae |" not in offer.text
    assert "416 × 240 and a window of 12" in offer.text and "lora" in offer.consent


@pytest.mark.parametrize(
    ("free", "words"),
    [
        (30 * 10**9, "This does not fit into what is free.** It would with: "),
        (10**6, "Nothing that can be set would change that"),
    ],
)
def test_what_does_not_fit_comes_with_what_would(nothing_here, monkeypatch, free, words):
    monkeypatch.setattr(needs, "room", lambda device: Room(free, free))
    assert words in offered().text


def test_what_fits_is_not_warned_of(nothing_here, monkeypatch):
    monkeypatch.setattr(needs, "room", lambda device: Room(10**12, 10**12))
    assert "does not fit" not in offered().text


def test_a_model_that_is_here_is_loaded_without_asking(nothing_here, monkeypatch):
    monkeypatch.setattr(needs, "present", lambda source, parts: dict.fromkeys(parts, "here"))
    offer = offered()
    assert not offer.asks and offer.consent is None and "To fetch: **nothing**" in offer.text


def test_a_published_model_is_fetched_with_progress_then_loaded(monkeypatch, pipeline):
    asked, reports = {}, []

    def fetch(source, *, parts, accept_non_commercial, progress):
        asked.update(parts=parts, agreed=accept_non_commercial)
        progress(Progress("vae", "vae/config.json", 5, 10, 5, 10, 0, 1))

    monkeypatch.setattr(needs, "fetch", fetch)
    monkeypatch.setattr(needs, "load_pipeline", lambda name, loading: pipeline)
    made = prepare(SELF_FORCING, Loading(), True, lambda *step: reports.append(step))
    assert made is pipeline and asked["agreed"] and "transformer" in asked["parts"]
    assert reports == [("vae: vae/config.json", 5, 10), ("Loading the weights", 0, 0)]
