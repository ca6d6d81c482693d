"""What the list of policies says of each."""

import json

from deepforcing import POLICIES, DeepForcing, SlidingWindow, load_pipeline, settings_of
from ui.app import App
from ui.page.layout import policy_title
from ui.settings.evidence import measured


def test_a_policy_says_what_was_measured_of_it(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps({"seconds": 60, "policies": {"deep-sink": {"subject": 0.957, "colour_drift": 0.0123}}}))
    assert measured("deep-sink", path) == "Measured at 60 s: colour drift 0.012."
    assert measured("h2o", path) == ""
    found = {"subject": 1, "colour_drift": 0.0, "scenery": 0.553}
    beside = dict.fromkeys(found) | {"scenery": 0.4}
    path.write_text(json.dumps({"seconds": 60, "policies": {"x": found, "y": beside, "z": dict.fromkeys(found)}}))
    assert measured("x", path) == "Measured at 60 s: scenery kept 0.55, colour drift 0.000."
    assert measured("y", path) == "Measured at 60 s: scenery kept 0.40." and measured("z", path) == ""


def test_without_evidence_nothing_is_claimed(tmp_path):
    assert measured("deep-sink", tmp_path / "summary.json") == ""


def test_the_shipped_evidence_is_shown_with_the_model_it_was_measured_on_only():
    assert "Measured at 60 s" in policy_title(DeepForcing, embedded=True)
    assert policy_title(DeepForcing, embedded=False) == f"deep-forcing\n{DeepForcing.summary}"
    assert all(SlidingWindow.summary in policy_title(p, True) for n, p in POLICIES.items() if n == "self-forcing")


def test_deep_forcing_means_the_papers_setting_when_the_page_opens():
    app = App(load_pipeline("tiny"))
    values = {name: control.value for name, control in app.page.settings.items()}
    assert app.page.policy.value == "deep-forcing" and values == settings_of(DeepForcing())
    assert values["phase"] == "released" and values["sink"] == 10
    app.blocks.close()
