"""What is told before a published model is fetched, and how its making ready is followed."""

from dataclasses import replace

import pytest
from small_wan import CHECKPOINT, TEXT_DIM, save_small_wan

from deepforcing import SOURCES, Loading, Progress, needs, needs_of, readable
from deepforcing.memory import Room
from deepforcing.models import found
from deepforcing.models.shapes import SHAPES
from ui.loading.requirements import offer_of, prepare

SELF_FORCING = SOURCES["self-forcing"]


@pytest.fixture
def nothing_here(no_cuda, monkeypatch):
    monkeypatch.setattr(found, "present", lambda source, parts=None, folder=None: {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_wan(tmp_path_factory.mktemp("wan") / "mine")


def offered(agreed: bool = False, model="self-forcing", loading=Loading(device="cpu")):
    return offer_of(needs_of(model, loading), agreed)


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
    offer = offered(model="longlive", loading=Loading("small", height=240, width=416, device="cpu"))
    assert "taehv" in offer.text and "| vae |" not in offer.text
    assert "416 × 240 and a window of 12" in offer.text and "lora" in offer.consent


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.9, "This does not fit into what is free.** It would with: "),
        (0.001, "Nothing that can be set would change that"),
    ],
)
def test_what_does_not_fit_comes_with_what_would(nothing_here, monkeypatch, share, words):
    takes = needs_of("self-forcing", Loading(device="cpu")).takes.device  # by the CPU's fastest precision
    monkeypatch.setattr(needs, "room", lambda device: Room(int(share * takes), 0))
    assert words in offered().text


def test_what_fits_is_not_warned_of(nothing_here, monkeypatch):
    monkeypatch.setattr(needs, "room", lambda device: Room(10**12, 10**12))
    assert "does not fit" not in offered().text


def test_a_path_is_offered_as_ones_own_and_loaded_without_asking(folder):
    offer = offered(model=folder, loading=Loading(height=32, width=48))
    assert not offer.asks and offer.consent is None and "To fetch: **nothing**" in offer.text
    assert offer.text.startswith("## mine\n\nIt runs as Self Forcing 1.3B does.")
    assert f"| transformer | `{folder / CHECKPOINT}` | is here | its own |" in offer.text
    assert "NC" not in offer.text and "model card" not in offer.text, "licences are told of published parts only"
    assert "48 × 32 and a window of 21" in offer.text


def test_a_path_that_does_not_fit_waits_for_a_click(folder, monkeypatch):
    monkeypatch.setattr(needs, "room", lambda device: Room(10**6, 10**6))
    offer = offered(model=folder, loading=Loading(height=32, width=48))
    assert offer.asks and offer.consent is None and offer.action == "Load" and "does not fit" in offer.text
    assert not offered(True, folder, Loading(height=32, width=48)).asks


def test_to_a_transformer_alone_the_other_parts_are_offered(nothing_here, folder, monkeypatch):
    small = replace(SHAPES["self-forcing"], text_dim=TEXT_DIM)
    monkeypatch.setitem(SHAPES, "self-forcing", small)
    offer = offered(model=folder / CHECKPOINT)
    assert "To fetch: **23.3 GB**" in offer.text and offer.asks and offer.action == "Fetch and load"
    assert offer.consent is None, "what is offered is free, and what is not is one's own"
    assert "| vae | Wan-AI/" in offer.text and "gdhe17" not in offer.text


def test_a_published_model_is_fetched_with_progress_then_loaded(nothing_here, monkeypatch, pipeline):
    asked, reports = {}, []

    def fetch(source, *, parts, accept_non_commercial, progress):
        asked.update(parts=parts, agreed=accept_non_commercial)
        progress(Progress("vae", "vae/config.json", 5, 10, 5, 10, 0, 1))

    monkeypatch.setattr(needs, "fetch", fetch)
    monkeypatch.setattr(needs, "load_pipeline", lambda name, loading: pipeline)
    made = prepare("self-forcing", Loading(), True, lambda *step: reports.append(step))
    assert made is pipeline and asked["agreed"] and "transformer" in asked["parts"]
    assert reports == [("vae: vae/config.json", 5, 10), ("Loading the weights", 0, 0)]
