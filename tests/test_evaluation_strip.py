"""Stills of typical videos."""

import numpy as np
import pytest
from PIL import Image
from test_evaluation_report import SECONDS, evidence, report, section, video

from deepforcing.evaluation import strip
from deepforcing.evaluation.measure import Job
from deepforcing.evaluation.strip import film, prompt_of, stills, times, typical
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import DeepForcing, SlidingWindow


def pairs(*advantages: tuple[int, float]):
    """A prompt for each (windows with the subject more than self-forcing's, drift less than its)."""
    rows = []
    for prompt, (kept, drift) in enumerate(advantages):
        rows += video(SlidingWindow(), prompt, 0 if kept > 0 else 9, 0.5, 1.0)
        rows += video(DeepForcing(), prompt, 9 if kept >= 0 else 0, 0.5 - drift, 1.0)
    return rows


def test_a_minute_has_seven_stills():
    assert times(60) == (0, 10, 20, 30, 40, 50, 60)
    assert times(20) == (0, 5, 10, 15, 20)
    assert len(times(600)) <= 7


def test_the_middle_of_the_ranking_is_typical():
    rows = pairs((1, 0.1), (-1, 0.3), (0, 0.2), (0, 0.1))
    assert typical(rows, SECONDS) == [(3, 0), (2, 0)]
    assert typical(pairs((0, 0.1)), SECONDS) == [(0, 0)]
    assert typical([row for row in rows if row.policy == "deep-forcing"], SECONDS) == []


def test_stills_are_frames_of_the_video(pipeline):
    job = Job(DeepForcing(), 0, 0, SECONDS)
    chunks = generate_long_video(pipeline, "a", num_frames=160, policy=job.policy, seed=job.noise)
    frames = np.concatenate([chunk.frames for chunk in chunks])
    found = list(stills(pipeline, job, "a", (0, 5, 10)))
    assert [np.array_equal(a, b) for a, b in zip(found, frames[[0, 80, 159]], strict=True)] == [True] * 3


def test_stills_are_made_once_and_shown(pipeline, tmp_path, monkeypatch):
    loaded = []
    monkeypatch.setattr(strip, "load_pipeline", lambda model: loaded.append(model) or pipeline)
    plan = evidence(tmp_path, pairs((1, 0.1), (0, 0.2)))
    stale = tmp_path / "strip" / "deep-forcing-9-0.webp"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    film(plan)
    film(plan)
    assert loaded == ["tiny"]
    names = [f"{policy}-{prompt}-0.webp" for policy in ("deep-forcing", "self-forcing") for prompt in (0, 1)]
    assert sorted(path.name for path in (tmp_path / "strip").iterdir()) == names
    with Image.open(tmp_path / "strip" / names[0]) as picture:
        assert picture.size == (3 * pipeline.shape.width, pipeline.shape.height)
    text = report(plan)
    assert "](filmstrip.webp)" in section(text, "At a glance") and strip.RULE in text
    assert (tmp_path / "filmstrip.webp").stat().st_size < 80_000


@pytest.mark.parametrize("prompt", [0, 5])
def test_a_strip_names_its_prompt(prompt):
    assert prompt_of((prompt, 1)) == evidence_prompts()[prompt]


def evidence_prompts() -> list[str]:
    from deepforcing.evaluation.prompts import even_prompts

    return [caption.phrase() for caption in even_prompts(24)]
