"""What the README and the pages behind it say is so: code runs, links lead somewhere, commands and options exist."""

import re

import pytest
from conftest import small_pipeline
from documents import PAGES, ROOT, TEXT

import deepforcing.pipeline
from deepforcing.__main__ import main as deepforcing_main
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import POLICIES
from deepforcing.policies.registry import find_policies

SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"^python (app\.py|-m deepforcing \w+)", TEXT, re.MULTILINE)))
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")


def test_the_example_policy_appears_by_itself_and_works(drop_policy):
    drop_policy("every_other", next(s for s in SNIPPETS if "class " in s))
    found = find_policies()
    assert list(found) == list(dict.fromkeys([*POLICIES, "every-other"])), "one more, or there already"
    chunks = list(generate_long_video(small_pipeline(), "a", num_frames=150, policy=found["every-other"]()))
    assert (chunks[7].cache.frames % 2 == 0).all() and len(chunks[7].cache.frames) == 9


def test_the_library_example_works(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    example = next(s for s in SNIPPETS if "num_frames=320" in s)
    exec(example.replace("num_frames=320", "num_frames=33"), {})
    assert (tmp_path / "out.mp4").stat().st_size > 1000


def test_the_example_of_the_method_works(monkeypatch):
    monkeypatch.setattr(deepforcing.pipeline, "load_pipeline", small_pipeline)
    names = {}
    exec(next(s for s in SNIPPETS if "participative_compression(" in s), names)
    assert [len(names[part][0]) for part in ("kept", "fewer")] == [256, 128 + 32 + 19]
    assert names["turned"].shape == (21, 44)


def test_the_trace_example_works(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(next(s for s in SNIPPETS if "read_trace(" in s), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 42 and re.match(r"0 \(9, (\d+), \1, 3\) 0 False", lines[0])
    assert lines[-1] == "None" or lines[-1].startswith("Gauges(start=")


def headings(text: str) -> set[str]:
    """The anchors that a page has."""
    without_code = re.sub(r"^(`{3,}).*?^\1", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", without_code, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for path, anchor in LINK.findall(re.sub(r"`[^`]*`", "", PAGES[page])):
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), path
        assert not anchor or anchor in headings(target.read_text(encoding="utf-8")), f"{path}#{anchor}"


def test_every_page_is_led_to_from_the_readme():
    linked = {(ROOT / path).resolve() for path, _ in LINK.findall(PAGES[ROOT / "README.md"]) if path}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_are_told_have_the_options_that_are_told(command, capsys):
    told = re.findall(rf"^python {re.escape(command)}\b(.*(?:\\\n.*)*)", TEXT, re.MULTILINE)
    asked = {option for line in told for option in re.findall(r"(?<=\s)--[\w-]+", line)}
    with pytest.raises(SystemExit, match="0"):
        deepforcing_main(["serve" if command == "app.py" else command.split()[-1], "--help"])
    assert asked <= set(re.findall(r"--[\w-]+", capsys.readouterr().out))


def test_the_melting_example_says_what_it_promises(capsys):
    exec(next(s for s in SNIPPETS if "melts=" in s), {})
    assert capsys.readouterr().out.strip() == "a red balloon (75%) ~ a blue kite (25%)"


def test_the_example_of_a_start_works(monkeypatch, capsys):
    monkeypatch.setattr(deepforcing, "load_pipeline", lambda name: small_pipeline(), raising=False)
    exec(next(s for s in SNIPPETS if "start=picture" in s), {})
    assert capsys.readouterr().out.startswith("True ")
