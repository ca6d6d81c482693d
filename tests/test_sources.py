"""What published models are made of."""

import math

import pytest

from deepforcing.config import SettingsError
from deepforcing.models.sources import SOURCES, readable

ALL = [part for source in SOURCES.values() for part in source.parts]


def test_a_source_is_found_by_its_own_name():
    assert list(SOURCES) == ["self-forcing", "longlive"]
    assert all(source.name == name for name, source in SOURCES.items())


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_a_source_says_how_the_model_was_distilled(source):
    assert source.sampling.steps == (1000, 750, 500, 250) and source.sampling.shift == 5
    assert source.sampling.prediction == "flow"
    shape = source.shape
    assert (shape.height // shape.space, shape.width // shape.space) == (60, 104)  # latent, 30 x 52 tokens
    assert source.sink < source.window and source.window % source.chunk_frames == 0


@pytest.mark.parametrize("part", ALL, ids=lambda part: f"{part.repo}-{part.name}")
def test_what_a_loader_opens_is_among_what_is_fetched(part):
    assert any(name == part.where or name.startswith(f"{part.where}/") for name in part.files)
    assert not set("*?[") & set(part.files[0]), "the first file is looked up by its name"
    assert part.repo.count("/") == 1 and part.bytes > 10_000_000


def test_weights_whose_card_forbids_commercial_use_are_marked_and_say_where_they_come_from():
    bound = {(part.repo, part.name) for part in ALL if part.non_commercial}
    assert bound == {
        ("gdhe17/Self-Forcing", "transformer"),
        ("Efficient-Large-Model/LongLive-1.3B", "transformer"),
        ("Efficient-Large-Model/LongLive-1.3B", "lora"),
    }
    assert all("NC" in part.licence and part.licence_note for part in ALL if part.non_commercial)
    assert all("NC" not in part.licence for part in ALL if not part.non_commercial)
    assert all(part.licence_url.startswith("https://") for part in ALL)


def test_the_transformer_has_the_size_of_its_parameters_in_float32():
    for source in SOURCES.values():
        (transformer,) = source.choose(["transformer"])
        assert math.isclose(transformer.bytes, 1_418_996_800 * 4, rel_tol=0.01)


def test_optional_parts_come_only_by_name():
    source = SOURCES["self-forcing"]
    assert [part.name for part in source.choose()] == ["vae", "text_encoder", "tokenizer", "transformer"]
    assert [part.name for part in source.choose(["taehv", "vae"])] == ["vae", "taehv"]


def test_an_unknown_part_is_named():
    with pytest.raises(SettingsError, match="has no part 'lora': expected some of taehv, text_encoder"):
        SOURCES["self-forcing"].choose(["vae", "lora"])


@pytest.mark.parametrize(
    ("size", "text"),
    [(22_723_695_074, "22.7 GB"), (507_592_616, "508 MB"), (1_500_000, "1.5 MB"), (61_758, "62 kB"), (12, "12 B")],
)
def test_sizes_are_readable(size, text):
    assert readable(size) == text
