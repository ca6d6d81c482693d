"""What getting and running a model takes, told before anything is fetched or loaded; then getting and loading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .fitting import Suggestion, fit
from .memory import Forecast, Plan, Room, Sizes, forecast, room, sizes_of
from .models.components import ModelError, device_for, fastest_dtype, without_cuda
from .models.fetch import Progress, fetch
from .models.found import Found, locate
from .models.loading import Loading
from .models.released import Parts, rehearse
from .models.shapes import SHAPES, taehv_config, transformer_config, vae_config
from .models.sources import Part, Source, readable
from .pipeline import Pipeline, load_pipeline
from .policies import AttentionSink, DeepForcing, Policy

FIVE_SECONDS = 21  # latent frames, the window that Deep Forcing's settings are made for
LARGE = 500_000_000  # parameters of a transformer; with more, it runs on a CPU only where that is asked for
MOST_NAMED = 3  # of the settings that would fit


@dataclass(frozen=True)
class Needs:
    """What a model needs, before it is loaded.

    found    which model it is, where its parts are, and what of it is still to be fetched
    parts    all of the published parts that it needs, those of one's own included
    plan     how it would run; takes: the memory for that; free: what there is
    nearest  settings that would fit, the least change first; empty where it fits, or nothing would
    """

    found: Found
    device: torch.device
    parts: tuple[Part, ...]
    plan: Plan
    takes: Forecast
    free: Room
    nearest: tuple[Suggestion, ...]

    @property
    def missing(self) -> tuple[Part, ...]:
        """Parts to be fetched."""
        return self.found.missing

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

    @property
    def advice(self) -> str:
        """The nearest settings that would fit, in a sentence, with the options that ask for them."""
        if not self.nearest:
            return "Nothing that can be set would change that."
        return f"It would with: {'; or '.join(map(_words, self.nearest[:MOST_NAMED]))}."

    def check_memory(self) -> None:
        """Raise ModelError that says what would fit, unless this does."""
        if self.fits:
            return
        on_device = f"{readable(self.takes.device)} of memory, of which {readable(self.free.device)} are free"
        on_host = f", and {readable(self.takes.host)} of {readable(self.free.host)} beside the GPU"
        raise ModelError(f"{self.found.title} takes {on_device}{on_host if self.takes.host else ''}. {self.advice}")


def _words(suggestion: Suggestion) -> str:
    options = f" ({' '.join(suggestion.options)})" if suggestion.options else ""
    return ", ".join(suggestion.changes) + options


def needs_of(model: str | Path, loading: Loading = Loading(), policy: Policy | None = None) -> Needs:
    """Look at the disk and at free memory, for a published model or a path; nothing is fetched or loaded.

    What is on this machine is opened and checked as loading would, and counted as it is; what is not, as published.
    policy: `own_policy` when None. Raises SettingsError, and ModelError, also for want of CUDA: a model of more than
    LARGE parameters needs it, unless `loading` asks for the CPU.
    """
    device, found = device_for(loading.device), locate(model, loading)
    here = rehearse(found, loading)
    source, shape, policy = found.source, here.shape, policy or _policy_of(found.source)
    plan = Plan(
        shape.height,
        shape.width,
        policy,
        loading.weights,
        loading.text,
        loading.decoder,
        fastest_dtype(device),
        loading.chunk_of(source),
        shape.space,
        shape.time,
        loading.attention == "fp8",
        loading.graphs,
    )
    sizes, free = model_sizes(source, loading, here), room(device)
    if device.type == "cpu" and loading.device != "cpu":
        _check_small(found, sizes)
    takes = forecast(sizes, plan, device)
    nearest = () if free.holds(takes) else tuple(fit(sizes, plan, free, device))
    return Needs(found, device, source.choose(loading.parts(source)), plan, takes, free, nearest)


def _check_small(found: Found, sizes: Sizes) -> None:
    """ModelError for a model that nobody would want on a CPU without having asked for that."""
    if sizes.parameters > LARGE:
        what = f"{found.title}, with {sizes.parameters / 1e6:,.0f} million transformer parameters,"
        raise without_cuda(what, "Take --model tiny, or --device cpu if many minutes for a second of video will do")


def own_policy(model: str | Path, loading: Loading = Loading()) -> Policy:
    """Deep Forcing where the model has its window, else what the model was trained with. Raises ModelError."""
    return _policy_of(locate(model, loading).source)


def _policy_of(source: Source) -> Policy:
    return DeepForcing() if source.window == FIVE_SECONDS else AttentionSink(window=source.window, sink=source.sink)


def model_sizes(source: Source, loading: Loading, here: Parts) -> Sizes:
    """Sizes of a model: of each part that is here as it is, of the others as they are published."""
    shape, (text,) = SHAPES[source.size], source.choose(["text_encoder"])
    transformer = dict(here.denoiser.transformer.config) if here.denoiser else transformer_config(shape)
    decoders: dict[str, Any] = {"full": vae_config(shape), "small": taehv_config(shape)}
    if here.decoder:
        decoders[loading.decoder] = here.decoder.config
    as_published = text.bytes // torch.float32.itemsize
    return sizes_of(transformer, decoders, here.text.parameters if here.text else as_published)


def get_ready(
    model: str | Path,
    loading: Loading,
    *,
    accept_non_commercial: bool,
    progress: Callable[[Progress], None] | None = None,
    loads: Callable[[], None] = lambda: None,
) -> Pipeline:
    """Fetch what is missing of a published model or of a path's, then load; `loads` is called in between.

    Raises LicenceError before a byte is fetched, ModelError and SettingsError.
    """
    found = locate(model, loading)
    if found.missing:
        names = [part.name for part in found.missing]
        fetch(found.source, parts=names, accept_non_commercial=accept_non_commercial, progress=progress)
    loads()
    return load_pipeline(model, loading=loading)
