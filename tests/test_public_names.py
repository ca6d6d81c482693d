"""`deepforcing` itself: every public name is there, and torch comes only with those that need it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import deepforcing

SOURCE = ast.parse(Path(deepforcing.__file__).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", deepforcing.__all__)
def test_every_public_name_is_there(name):
    assert getattr(deepforcing, name) is not None


def test_what_type_checkers_see_is_what_is_imported_later():
    seen = next(node for node in SOURCE.body if isinstance(node, ast.If)).body
    assert {alias.name: node.module for node in seen for alias in node.names} == deepforcing._MODULES
    assert set(deepforcing._MODULES) < set(deepforcing.__all__) == set(dir(deepforcing))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        deepforcing.nothing  # noqa: B018


def test_torch_comes_only_with_what_needs_it():
    code = "import sys, deepforcing as d; print('torch' in sys.modules); d.POLICIES; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_every_module_has_its_page():
    """What makes the pages is not needed to know of which modules."""
    code = "import runpy; print(*runpy.run_path('docs/api.py')['modules']())"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    files = (path.relative_to(root).with_suffix("").parts for path in (root / "deepforcing").rglob("*.py"))
    names = {".".join(parts).removesuffix(".__init__") for parts in files} - {"deepforcing.__main__"}
    assert set(done.stdout.split()) == names, done.stderr
