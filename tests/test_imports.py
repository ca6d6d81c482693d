"""Imports go one way."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = [
    {"turns", "version", "blend", "token_buffer", "sums", "plain_attention", "idle_threads"},
    {"config", "events", "rope", "captions", "metrics", "prompt", "ffmpeg", "output", "console", "proxies"},
    {"compression", "mixing", "past_queries", "eight_bit", "breakdown", "gauges", "going_on"},
    {"timeline", "video_file"},
    {"opening"},
    {"policies"},
    {"kv_cache", "method"},
    {"attention", "telemetry"},
    {"probe", "models"},
    {"run_ahead", "beside", "memory", "out_of_memory", "finite", "tiers", "switching", "wording", "attached"},
    {"fitting", "options", "prompt_options", "steering", "run_settings"},
    {"pipeline"},
    {"stream", "bench", "needs"},
    {"trace", "attention_error"},
    {"begun", "training", "evaluation"},
    {"race"},
    {"__init__"},
    {"commands"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}
ROOMS = [  # of ui/
    {"look"},
    {"prompts", "memory", "drift", "loading"},
    {"settings"},
    {"player"},
    {"runs"},
    {"hosting", "recordings"},
    {"race", "lessons"},
    {"page"},
    {"app", "replay"},
    {"serve"},
]
STOREY = {name: level for level, names in enumerate(ROOMS) for name in names}


def imported(path: Path) -> set[str]:
    """Full dotted names of what a file imports."""
    names, package = set(), list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *(node.module or "").split(".")] if node.module else base
            names |= {".".join([*module, alias.name]) for alias in node.names}
    return names


def part(dotted: str) -> str:
    """The module or folder of the core that a dotted name lies in."""
    pieces = dotted.split(".")[1:]
    return pieces[0] if pieces and pieces[0] in LEVEL else "__init__"


CORE = sorted(path for path in (ROOT / "deepforcing").rglob("*.py"))


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_imports_downwards_only(path):
    own = part("deepforcing." + ".".join(path.relative_to(ROOT / "deepforcing").with_suffix("").parts))
    for name in imported(path):
        if own != "__main__":  # the command line stands above the page
            assert name.split(".")[0] not in {"gradio", "plotly", "ui", "app"}, f"the core must not know {name}"
        if name.split(".")[0] == "deepforcing" and part(name) != own:
            assert LEVEL[part(name)] < LEVEL[own], f"{path.name} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "ui").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_ui_uses_public_names_only(path):
    for name in imported(path):
        if name.split(".")[0] == "deepforcing":
            assert name.count(".") == 1 or name.startswith("deepforcing.captions"), f"{name} is not public"


def room(path: Path) -> str:
    """The folder of ui/ that a file lies in, or the file itself."""
    return path.relative_to(ROOT / "ui").parts[0].removesuffix(".py")


def may_use(own: str, other: str) -> bool:
    return other == own or STOREY[other] < STOREY[own]


@pytest.mark.parametrize("path", sorted((ROOT / "ui").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_import_downwards_only(path):
    for name in imported(path):
        if name.startswith("ui."):
            assert may_use(room(path), name.split(".")[1]), f"{path.name} must not import {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "ui").rglob("*.js")), ids=lambda path: str(path.relative_to(ROOT)))
def test_scripts_import_downwards_only(path):
    for name in re.findall(r'from "(.+)"', path.read_text(encoding="utf-8")):
        other = (path.parent / name).resolve()
        assert other.is_file() and may_use(room(path), room(other)), f"{path.name} must not import {name}"


def test_every_room_has_a_storey():
    assert {room(path) for path in (ROOT / "ui").rglob("*.py")} - {"__init__"} == set(STOREY)


def test_every_core_module_has_a_level():
    names = {path.relative_to(ROOT / "deepforcing").parts[0].removesuffix(".py") for path in CORE}
    assert names == set(LEVEL)
