"""LoRAs by their names on a hub."""

from functools import partial
from pathlib import Path

import pytest
import torch
from fake_hub import FakeHub
from safetensors.torch import save

from deepforcing import ModelError
from deepforcing.__main__ import main
from deepforcing.models.fetch import fetch
from deepforcing.models.lora_hub import find_lora, is_hub_lora, lora_source

STYLE = save({f"blocks.0.self_attn.q.lora_{half}.weight": torch.ones(20, 20) for half in "AB"})
FILES = {
    "style.safetensors": STYLE,
    "adapter_config.json": b'{"lora_alpha": 2, "r": 4}',
    "more/other.safetensors": STYLE,
}
NAME = "someone/styles/style.safetensors"


@pytest.fixture
def hub():
    with FakeHub({"someone/styles": dict(FILES)}, licences={"someone/styles": "cc-by-nc-4.0"}) as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, in a folder of the test's own."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_name_on_the_hub_is_told_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_hub_lora(NAME) and is_hub_lora("a/b/c/d.safetensors")
    assert not any(map(is_hub_lora, ("style.safetensors", "a/style.safetensors", "a/b/style.pt", "/a/b/c.safetensors")))
    Path("someone/styles").mkdir(parents=True)
    Path(NAME).write_bytes(STYLE)
    assert not is_hub_lora(NAME) and find_lora(Path(NAME)) == Path(NAME)


def test_its_licence_and_size_are_those_of_the_hub(hub):
    (part,) = lora_source(NAME, hub.endpoint).parts
    assert (part.licence, part.bytes, part.non_commercial) == ("cc-by-nc-4.0", len(STYLE), True)
    hub.licences["someone/styles"] = "apache-2.0"
    assert not lora_source(NAME, hub.endpoint).parts[0].non_commercial
    hub.licences.clear()
    assert lora_source(NAME, hub.endpoint).parts[0].licence == "not stated"


def test_what_is_not_there_is_said(hub, cache):
    with pytest.raises(ModelError, match=r"has no lost\.safetensors: there is style\.safetensors"):
        lora_source("someone/styles/lost.safetensors", hub.endpoint)
    with pytest.raises(ModelError, match="nobody/styles"):
        lora_source("nobody/styles/style.safetensors", hub.endpoint)
    with pytest.raises(ModelError, match=f"is not here: .*python -m deepforcing fetch {NAME}"):
        find_lora(Path(NAME))


def test_it_is_fetched_with_its_settings_after_a_yes_and_found_again(hub, cache, monkeypatch, capsys):
    monkeypatch.setattr("deepforcing.commands.fetch", partial(fetch, endpoint=hub.endpoint, cache=cache))
    monkeypatch.setattr("deepforcing.commands.lora_source", partial(lora_source, endpoint=hub.endpoint))
    monkeypatch.setattr("deepforcing.models.stores.constants.HF_HUB_CACHE", str(cache))
    assert main(["fetch", NAME]) == 2
    assert "cc-by-nc-4.0" in capsys.readouterr().err and not hub.downloads
    assert main(["fetch", NAME, "--accept-licence"]) == 0
    found = find_lora(Path(NAME))
    assert found.read_bytes() == STYLE and (found.parent / "adapter_config.json").is_file()
    assert "cc-by-nc-4.0" in capsys.readouterr().out


def test_a_name_that_is_neither_is_refused(capsys):
    assert main(["fetch", "someone/styles"]) == 2
    assert "owner/name/file.safetensors" in capsys.readouterr().err
