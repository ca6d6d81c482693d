"""Settings for GPUs of common sizes."""

from __future__ import annotations

from .config import SettingsError
from .models.loading import Loading

TIERS = {  # GB of a GPU's memory -> what lets a published model of 480x832 run there with a window of 21
    "80": Loading(),
    "24": Loading(text="cpu"),
    "16": Loading(text="cpu", weights="fp8", decoder="small"),
    "8": Loading(text="cpu", weights="offload", decoder="small", height=320, width=560),
}


def loading_for(tier: str | None = None, **given) -> Loading:
    """A tier's settings, or the model's own without a tier, with what is `given` in their place; None is not given.

    A size is one setting: height and width are given together, or not at all.
    Raises SettingsError for a tier that is not in TIERS and for settings that cannot be.
    """
    if tier is not None and tier not in TIERS:
        raise SettingsError(f"unknown tier {tier!r}: expected {', '.join(TIERS)}, the GB of the GPU")
    settings = vars(TIERS[tier] if tier else Loading())
    return Loading(**settings | {name: value for name, value in given.items() if value is not None})
