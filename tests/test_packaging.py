"""What `pip install .` brings along."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

from deepforcing import ModelError, load_pipeline
from deepforcing.models.tiny import TINY_FOLDER

tomllib = pytest.importorskip("tomllib")  # Python 3.11
ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


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
