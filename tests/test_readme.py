"""The README's code runs."""

import re
from pathlib import Path

from conftest import small_pipeline

from deepforcing.pipeline import generate_long_video
from deepforcing.policies import POLICIES
from deepforcing.policies.registry import find_policies

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_policy_of_the_readme_appears_by_itself_and_works(drop_policy):
    drop_policy("every_other", next(s for s in SNIPPETS if "class " in s))
    found = find_policies()
    assert list(found) == [*POLICIES, "every-other"]
    chunks = list(generate_long_video(small_pipeline(), "a", num_frames=150, policy=found["every-other"]()))
    assert (chunks[7].cache.frames % 2 == 0).all() and len(chunks[7].cache.frames) == 9


def test_the_library_example_of_the_readme_works(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    example = next(s for s in SNIPPETS if "generate_long_video(" in s)
    assert "num_frames=320" in example
    exec(example.replace("num_frames=320", "num_frames=33"), {})
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_the_trace_example_of_the_readme_works(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[1])
    exec(next(s for s in SNIPPETS if "read_trace(" in s), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 42 and lines[0].startswith("0 (9, 96, 96, 3) 0 False")
    assert lines[-1] == "None" or lines[-1].startswith("Gauges(start=")
