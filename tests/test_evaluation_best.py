"""What the app opens with, on hand-made tables."""

from dataclasses import fields

import pytest

from deepforcing.evaluation.best import PAPER, best, variants
from deepforcing.evaluation.experiments import label
from deepforcing.evaluation.measure import Reading
from deepforcing.policies import DeepForcing, SlidingWindow

UNTOUCHED = DeepForcing(phase="none")
SECONDS = 20


def readings(policy, drift, subject=1.0, prompts=8):
    """drift: by prompt, in the later half of the video; more than anyone's in the first."""
    rest = dict.fromkeys((f.name for f in fields(Reading) if f.type == "float"), 0.0)
    for prompt in range(prompts):
        for second in range(0, SECONDS, 5):
            measured = {"colour_drift": drift(prompt) if second >= SECONDS / 2 else 0.9, "subject": subject}
            yield Reading(label(policy), prompt, 0, second, **rest | measured)


def paper(prompt):
    return 0.1 + 0.01 * prompt


@pytest.mark.parametrize(
    ("drift", "subject", "opens_with"),
    [
        (lambda prompt: paper(prompt) - 0.02, 1.0, UNTOUCHED),
        (lambda prompt: paper(prompt) + 0.02, 1.0, PAPER),
        (lambda prompt: paper(prompt) + (0.05 if prompt % 2 else -0.06), 1.0, PAPER),  # within chance
        (lambda prompt: paper(prompt) - 0.02, 0.0, PAPER),  # colours hold, the subject does not
    ],
)
def test_the_papers_setting_gives_way_to_what_is_better_beyond_chance(drift, subject, opens_with):
    assert best([*readings(PAPER, paper), *readings(UNTOUCHED, drift, subject)], SECONDS) == opens_with


def test_without_another_variant_it_is_the_papers():
    assert best([*readings(PAPER, paper), *readings(SlidingWindow(), lambda prompt: 0.0)], SECONDS) == PAPER
    assert variants([], SECONDS) == []
