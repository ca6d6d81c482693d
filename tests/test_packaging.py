"""What `pip install .` brings along."""

import ast
import subprocess
import sys
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import pytest

from deepforcing import ModelError, load_pipeline
from deepforcing.models.tiny import TINY_FOLDER

tomllib = pytest.importorskip("tomllib")  # Python 3.11
ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS, EXTRAS = PYPROJECT["tool"]["setuptools"], PYPROJECT["project"]["optional-dependencies"]
MODULES = {"markdown_it": "markdown-it-py", "PIL": "pillow", "imageio_ffmpeg": "imageio-ffmpeg", "httpx": "gradio"}


def test_every_package_is_listed():
    found = {
        path.parent.relative_to(ROOT) for top in ("deepforcing", "ui") for path in (ROOT / top).rglob("__init__.py")
    }
    listed = {Path(*name.split(".")) for name in SETUPTOOLS["packages"] if name not in SETUPTOOLS["package-dir"]}
    assert listed == found


def test_the_tiny_model_goes_where_an_installed_package_looks_for_it():
    assert "deepforcing.tiny" in SETUPTOOLS["packages"], "a folder that models/tiny.py looks in"
    assert ROOT / SETUPTOOLS["package-dir"]["deepforcing.tiny"] == TINY_FOLDER
    patterns = SETUPTOOLS["package-data"]["deepforcing.tiny"]
    for path in TINY_FOLDER.rglob("*"):
        name = path.relative_to(TINY_FOLDER).as_posix()
        assert path.is_dir() or any(fnmatch(name, pattern) for pattern in patterns), f"{name} is left out"


def test_where_the_tiny_model_is_lost_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr("deepforcing.models.tiny.TINY_FOLDER", tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"tiny/model\.json is missing: expected the folder of a tiny model"):
        load_pipeline("tiny")


def test_the_command_is_there():
    module, name = PYPROJECT["project"]["scripts"]["deepforcing"].split(":")
    with pytest.raises(SystemExit, match="0"):
        getattr(import_module(module), name)(["replay", "--help"])


def test_replay_needs_what_its_extra_says():
    """Everything that is imported for the page of recorded runs, in the version that the project uses."""
    required = (line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    versions = dict(line.split("==") for line in required)
    listed = dict(line.split("==") for line in EXTRAS["replay"])
    assert listed.items() <= versions.items()
    code = "import ui.replay, sys; print(*(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)))"
    files = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    own = [Path(file) for file in files.split() if Path(file).is_relative_to(ROOT / "ui")]
    own += [Path(file) for file in files.split() if Path(file).is_relative_to(ROOT / "deepforcing")]
    outside = set().union(*map(imported, own)) - set(sys.stdlib_module_names) - {"deepforcing", "ui"}
    assert {MODULES.get(name, name) for name in outside} == set(listed)


def imported(path: Path) -> set[str]:
    """First names of what a file imports from elsewhere."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_the_tests_extra_is_what_ci_installs():
    assert set(EXTRAS["tests"]) <= set((ROOT / ".ci" / "run").read_text().split())
