"""LoRAs on the hub, by `owner/name/file.safetensors`: what is fetched, under which licence, and where it is then."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, try_to_load_from_cache
from huggingface_hub.hf_api import RepoFile

from .components import ModelError
from .fetch import explained
from .sources import Part, Source

_NAME = re.compile(r"([\w.-]+/[\w.-]+)/([^/].*\.safetensors)")
_SETTINGS = "adapter_config.json"  # PEFT's, beside the file
NOT_STATED = "not stated"


def is_hub_lora(name: str) -> bool:
    """Whether this can be a LoRA's name on the hub, and is no file here."""
    return bool(_NAME.fullmatch(name)) and not Path(name).exists()


def lora_source(name: str, endpoint: str | None = None) -> Source:
    """What `fetch` needs to get it, with the licence that its page states. Asks the hub. Raises ModelError."""
    repo, file = _parted(name)
    folder = file.rpartition("/")[0]
    unknown = Part("lora", repo, file, (file,), 0, NOT_STATED, _page(repo, endpoint))
    with explained(unknown):
        hub = HfApi(endpoint=endpoint)
        info = hub.model_info(repo)
        listed = {e.path: e.size for e in hub.list_repo_tree(repo, folder or None) if isinstance(e, RepoFile)}
    if file not in listed:
        there = ", ".join(path for path in sorted(listed) if path.endswith(".safetensors")) or "no safetensors"
        raise ModelError(f"{repo} has no {file}: there is {there}")
    card: Any = info.card_data or {}
    licence = str(card.get("license") or NOT_STATED)
    settings = f"{folder}/{_SETTINGS}".lstrip("/")
    part = Part(
        "lora",
        repo,
        file,
        (file,),
        listed[file],
        licence,
        _page(repo, endpoint),
        non_commercial="nc" in re.split(r"[^a-z]+", licence.lower()),
        also=(settings,),
    )
    return Source(name, f"LoRA {name}", (part,), window=0, sink=0)


def find_lora(path: Path) -> Path:
    """The file itself, or the one of this name that was fetched from the hub. Raises ModelError where there is none."""
    name = path.as_posix()
    if not is_hub_lora(name):
        return path
    found = try_to_load_from_cache(*_parted(name))
    if not isinstance(found, str):
        raise ModelError(
            f"the LoRA {name} is not here: no such file, and not fetched: python -m deepforcing fetch {name}"
        )
    return Path(found)


def _parted(name: str) -> tuple[str, str]:
    """`owner/name/a/file.safetensors` -> (`owner/name`, `a/file.safetensors`)."""
    repo, file = _NAME.fullmatch(name).groups()
    return repo, file


def _page(repo: str, endpoint: str | None) -> str:
    return f"{endpoint or constants.ENDPOINT}/{repo}"
