"""What of a run can be set otherwise while it goes on: its policy, within one class, or of any with an emptied cache;
the probe; the switch; the number of denoising steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from .config import Geometry, Sampling, SettingsError
from .events import SettingsChanged
from .kv_cache import KVCache, LayerCache
from .models.components import ModelError
from .models.schedule import steps_of
from .models.speed import has_passing_weights
from .models.wan import CausalWan
from .policies import Policy, make_policy, settings_of
from .probe import AttentionProbe
from .switching import check_switch, new_switch

LATER = "it is for the next run"


class RunSettings:
    """The settings of one run; `change` is for the run's own thread, between two chunks."""

    def __init__(
        self,
        policy: Policy,
        probe: bool = False,
        switch: str = "keep",
        steps: int | None = None,
        loras: Sequence[float] | None = None,
    ) -> None:
        """steps: None for as many as the model has. loras: None for strengths as they were loaded; others are told as a
        change, at the first chunk."""
        self.policy, self.probe, self.switch, self.steps = policy, probe, check_switch(switch), steps
        self._first = loras
        self.scene = 0  # how often the cache was emptied

    def begin(self, denoiser: CausalWan, cache: KVCache) -> None:
        """The run has a model and an empty cache. Raises SettingsError where the model has not as many steps."""
        self._denoiser, self.cache = denoiser, cache
        self.at_switch = new_switch(self.switch, denoiser, cache)
        self._take_steps(denoiser.sampling if self.steps is None else denoiser.sampling.thinned(self.steps))
        merged = denoiser.strengths
        self._loras, self.strengths = (merged.names, merged.given) if merged else ((), ())
        self._told = self._plain()
        self.change(loras=self._first)

    def end(self) -> None:
        """The run is over: its cache is nobody's."""
        self._denoiser = self.cache = self.at_switch = None

    @property
    def watch(self) -> AttentionProbe | None:
        """The probe, where attention is measured."""
        return self._probe if self.probe else None

    def change(
        self,
        policy: Policy | None = None,
        probe: bool | None = None,
        switch: str | None = None,
        steps: int | None = None,
        anew: bool = False,
        loras: Sequence[float] | None = None,
    ) -> None:
        """From the chunk on that comes next; what is None stays. anew: with an emptied cache, a new scene, which can be
        that of any policy, and whose first frames are its sink. loras: how strongly each of the model's is in its
        weights.

        Raises SettingsError, and changes nothing, for what cannot be, and for what has to wait for the next run.
        """
        policy, switch = policy or self.policy, check_switch(switch or self.switch)
        sampling = self._denoiser.sampling.thinned(self.steps if steps is None else steps)
        strengths = self.strengths if loras is None else _strengths_for(self._denoiser, loras)
        if anew:
            cache = self.cache.anew(policy)
        else:
            cache = self.cache
            self._check_held(policy, switch)
        if strengths != self.strengths or (anew and strengths):
            self._strengthen(strengths, cache)
        if anew or switch != self.switch:
            self.at_switch = new_switch(switch, self._denoiser, cache)
        self._take_steps(sampling)
        self.scene += anew and self.cache.next_frame > 0  # what is empty already is no scene
        self.probe = self.probe if probe is None else bool(probe)
        self.cache, self.switch = cache, switch
        self.policy = cache.policy = policy

    def repeat(self, values: dict) -> None:
        """Change again what was changed at this chunk before, plain values by name. Raises as `change` does."""
        policy = _policy_of(self.policy, values) if values else self.policy
        anew = "scene" in values or "policy" in values
        loras = [values.get(name, now) for name, now in zip(self._loras, self.strengths, strict=True)]
        self.change(policy, values.get("probe"), values.get("switch"), values.get("steps"), anew, loras or None)

    def check(self, policy: Policy, geometry: Geometry) -> None:
        """What can be said of a change of policy whatever the cache holds. Raises SettingsError as `change` does."""
        if type(policy) is not type(self.policy):
            raise SettingsError(f"another policy starts with an empty cache: {LATER}")
        policy.check(geometry)
        if policy.heads_apart != self.policy.heads_apart:
            raise SettingsError(f"whether heads keep tokens of their own is settled at the start: {LATER}")

    def check_loras(self, denoiser: CausalWan, loras: Sequence[float] | None = None) -> None:
        """Raise SettingsError unless a model's LoRAs can be as strong as this; None: as the run wants them at first."""
        wanted = self._first if loras is None else loras
        if wanted is not None:
            _strengths_for(denoiser, wanted)

    def _strengthen(self, strengths: tuple[float, ...], cache: KVCache) -> None:
        try:
            self._denoiser.set_strengths(strengths, cache)
        except ModelError as error:
            raise SettingsError(str(error)) from None
        self.strengths = strengths

    def _check_held(self, policy: Policy, switch: str) -> None:
        """Raise SettingsError unless the cache still has what these need."""
        if policy != self.policy:
            self.check(policy, self.cache.geometry)
            for layer in self.cache.layers.values() if self.cache.next_frame else ():
                _check_layer(policy, self.cache, layer)
        if switch == "reencode" != self.switch and self.cache.next_frame:
            raise SettingsError(f"re-encoding needs a record that this run has not kept: {LATER}")

    def news(self, chunk: int) -> SettingsChanged | None:
        """What is otherwise since this was asked last, for the chunk that comes next."""
        was, now = self._told, self._plain()
        names = [name for name in now if name not in was or was[name] != now[name]]
        if "policy" in names:
            names += [name for name in settings_of(self.policy) if name not in names]
        self._told = now
        if not names:
            return None
        before = {name: was[name] for name in names if name in was}
        return SettingsChanged(chunk, before, {name: now[name] for name in names})

    def _plain(self) -> dict:
        run = {"scene": self.scene, "policy": self.policy.name}
        loras = dict(zip(self._loras, self.strengths, strict=True))
        own = {"probe": self.probe, "switch": self.switch, "steps": self.steps}
        return {**run, **settings_of(self.policy), **own, **loras}

    def _take_steps(self, sampling: Sampling) -> None:
        self.steps, self.schedule = len(sampling.steps), steps_of(sampling)
        self._probe = AttentionProbe(step=self.steps - 1)


def _strengths_for(denoiser: CausalWan, strengths: Sequence[float]) -> tuple[float, ...]:
    """The strengths. Raises SettingsError unless the model has LoRAs that can have them."""
    if denoiser.strengths is None:
        raise SettingsError("this model has no LoRA that could be stronger or weaker")
    wanted = denoiser.strengths.check(strengths)
    if wanted != denoiser.strengths.given and has_passing_weights(denoiser.transformer):
        raise SettingsError("the strength of a LoRA in weights that are offloaded or in fp8 is settled at loading")
    return wanted


def _policy_of(now: Policy, values: dict) -> Policy:
    """The policy with plain values by name, or the one that they name. Raises SettingsError for an unknown one."""
    named = values.get("policy", now.name)
    policy = now if named == now.name else make_policy(named)
    own = settings_of(policy)
    return replace(policy, **{name: value for name, value in values.items() if name in own})


@dataclass(frozen=True)
class _Whole:
    """Which latent frames a layer holds with all their tokens: the first `first`, and all from `since` on."""

    first: int
    since: int

    @classmethod
    def of(cls, layer: LayerCache, geometry: Geometry, next_frame: int) -> _Whole:
        frames = layer.positions[..., 0]
        frames = frames if layer.valid is None else frames.where(layer.valid, next_frame)
        counts = torch.zeros(len(frames), next_frame + 1, dtype=torch.int64, device=frames.device)
        counts.scatter_add_(1, frames, torch.ones_like(frames))
        gaps = (counts[:, :-1] < geometry.tokens_per_frame).any(0).nonzero()[:, 0].tolist()
        return cls(gaps[0], gaps[-1] + 1) if gaps else cls(next_frame, 0)


def _check_layer(policy: Policy, cache: KVCache, layer: LayerCache) -> None:
    """Raise SettingsError unless this policy can go on with what the one before it has left."""
    made_for, whole = layer.made_for, _Whole.of(layer, cache.geometry, cache.next_frame)
    if policy.window > made_for.window:
        raise SettingsError(f"a window of {policy.window} is too large for a cache of {made_for.window}: {LATER}")
    if policy.query_frames > made_for.query_frames or policy.sums_attention != made_for.sums_attention:
        raise SettingsError(f"its scores need what this run has not kept: {LATER}")
    if whole.since == 0:  # nothing was dropped yet
        return
    if policy.sink_frames > whole.first:
        kept = f"of the first frames only {whole.first} are still whole"
        raise SettingsError(f"a sink of {policy.sink_frames} comes too late, {kept}: {LATER}")
    if policy.whole_from(_first_choice(policy, cache, layer), cache.geometry) < whole.since:
        raise SettingsError(f"it would keep frames that are gone: {LATER}")


def _first_choice(policy: Policy, cache: KVCache, layer: LayerCache) -> int:
    """First latent frame of the chunk at which the policy will choose for the first time."""
    geometry, first = cache.geometry, cache.next_frame
    held = layer.tokens / geometry.tokens_per_frame
    while held <= policy.window and not policy.due(held, geometry):
        first, held = first + geometry.chunk_frames, held + geometry.chunk_frames
    return first
