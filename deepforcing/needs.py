"""What getting and running a published model takes, told before anything is fetched; then getting and loading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from .fitting import Suggestion, fit
from .memory import Forecast, Plan, Room, forecast, room, sizes_of
from .models.components import best_device, fastest_dtype
from .models.fetch import Progress, fetch, present
from .models.released import Loading
from .models.shapes import SHAPES, taehv_config, transformer_config, vae_config
from .models.sources import Part, Source
from .pipeline import Pipeline, load_pipeline
from .policies import Policy


@dataclass(frozen=True)
class Needs:
    """What a published model needs, before it is there.

    parts, missing  all that is needed, and what of it is still to be fetched
    plan            how it would run; takes: the memory for that; free: what there is
    nearest         settings that would fit, the least change first; empty where it fits, or nothing would
    """

    source: Source
    device: torch.device
    parts: tuple[Part, ...]
    missing: tuple[Part, ...]
    plan: Plan
    takes: Forecast
    free: Room
    nearest: tuple[Suggestion, ...]

    @property
    def fits(self) -> bool:
        """Whether what is free holds what it takes."""
        return self.free.holds(self.takes)

    @property
    def bound(self) -> tuple[Part, ...]:
        """Parts to be fetched whose licence forbids commercial use."""
        return tuple(part for part in self.missing if part.non_commercial)

    @property
    def bytes(self) -> int:
        """To be fetched, about."""
        return sum(part.bytes for part in self.missing)


def needs_of(source: Source, loading: Loading, policy: Policy) -> Needs:
    """Look at the disk and at free memory; nothing is fetched or loaded.

    Raises SettingsError for a size that cannot be.
    """
    device = best_device()
    parts, here = source.choose(loading.parts(source)), present(source, parts=loading.parts(source))
    height, width = loading.height or source.shape.height, loading.width or source.shape.width
    plan = Plan(height, width, policy, loading.weights, loading.text, loading.decoder, fastest_dtype(device))
    shape = SHAPES[source.size]
    sizes = sizes_of(transformer_config(shape), {"full": vae_config(shape), "small": taehv_config(shape)})
    text = next(part for part in source.parts if part.name == "text_encoder")
    sizes = replace(sizes, text_parameters=text.bytes // torch.float32.itemsize)  # as it is published
    takes, free = forecast(sizes, plan, device), room(device)
    nearest = () if free.holds(takes) else tuple(fit(sizes, plan, free, device))
    missing = tuple(part for part in parts if part.name not in here)
    return Needs(source, device, parts, missing, plan, takes, free, nearest)


def get_ready(
    source: Source,
    loading: Loading,
    *,
    accept_non_commercial: bool,
    progress: Callable[[Progress], None] | None = None,
    loads: Callable[[], None] = lambda: None,
) -> Pipeline:
    """Fetch what is missing, then load; `loads` is called in between.

    Raises LicenceError before a byte is fetched, ModelError and SettingsError.
    """
    wanted = loading.parts(source)
    fetch(source, parts=wanted, accept_non_commercial=accept_non_commercial, progress=progress)
    loads()
    return load_pipeline(source.name, loading=loading)
