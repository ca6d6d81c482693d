"""Settings for GPUs of common sizes, as asked on a command line, and what the README says about them."""

import argparse
import re

import pytest
import torch
from documents import TEXT

from deepforcing import DeepForcing, Loading, SettingsError
from deepforcing.memory import Forecast, Plan, forecast
from deepforcing.models.found import Found
from deepforcing.models.released import rehearse
from deepforcing.models.sources import SELF_FORCING
from deepforcing.needs import model_sizes
from deepforcing.options import add_loading, loading_from
from deepforcing.tiers import TIERS, loading_for

GIB = 2**30


def takes(loading: Loading) -> Forecast:
    """Of Self Forcing on a GPU, with Deep Forcing's window."""
    height, width = loading.height or SELF_FORCING.shape.height, loading.width or SELF_FORCING.shape.width
    plan = Plan(height, width, DeepForcing(), loading.weights, loading.text, loading.decoder)
    nothing = rehearse(Found("self-forcing", SELF_FORCING, {}, {}, ()), loading)
    return forecast(model_sizes(SELF_FORCING, loading, nothing), plan, torch.device("cuda"))


def asked(*arguments: str) -> Loading:
    parser = argparse.ArgumentParser()
    add_loading(parser)
    return loading_from(parser.parse_args(arguments))


@pytest.mark.parametrize("gb", TIERS)
def test_every_tier_holds_the_real_model(gb):
    needs = takes(TIERS[gb])
    assert needs.device < 0.9 * int(gb) * GIB and needs.host < 16 * GIB


def test_a_tier_sets_what_is_not_given():
    assert asked("--tier", "16") == Loading(text="cpu", weights="fp8", decoder="small")
    assert asked("--tier", "80") == asked() == Loading()
    assert asked("--tier", "8", "--text", "free", "--size", "240x416") == Loading(
        text="free", weights="offload", decoder="small", height=240, width=416
    )
    assert asked("--device", "cpu", "--tier", "24") == Loading(text="cpu", device="cpu")
    assert asked("--decoder", "full", "--tier", "16").decoder == "full", "whatever their order"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tier", "12"], "unknown tier '12': expected 80, 24, 16, 8, the GB of the GPU"),
        (["--size", "480"], "--size must be HEIGHTxWIDTH"),
        (["--size", "0x832"], "height must be at least 1 pixel, not 0"),
        (["--device", "gpu"], "device must be one of auto, cuda, cpu, not 'gpu'"),
        (["--text", "disk"], "text must be one of device, move, cpu, free, not 'disk'"),
    ],
)
def test_choices_that_there_are_not_are_refused(arguments, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        asked(*arguments)


def test_a_tier_and_compiling_may_contradict_each_other():
    assert loading_for("24", compiled=True).compiled
    with pytest.raises(SettingsError, match="offloaded cannot be compiled"):
        loading_for("8", compiled=True)


def test_the_table_of_the_readme_is_what_is_forecast():
    rows = re.findall(r"^\| (\d+) GB \| `--tier (\d+)` \| (.*?) \| (.*?) GB \|(?: (.*?) GB)? \|$", TEXT, re.MULTILINE)
    assert [row[0] for row in rows] == list(TIERS)
    for gb, tier, options, device, host in rows:
        assert gb == tier
        assert asked(*options.strip("`").split() if options != "none" else []) == TIERS[tier]
        needs = takes(TIERS[tier])
        assert (f"{needs.device / 1e9:.1f}", f"{needs.host / 1e9:.1f}") == (device, host or "0.0")
