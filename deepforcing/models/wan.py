"""diffusers' `WanTransformer3DModel`, at any size, as a causal denoiser of chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..attention import CausalSelfAttention, LayerPrompt, Prompt, PromptCrossAttention
from ..config import Geometry, Sampling, SettingsError
from ..eight_bit import EightBitKernel
from ..kv_cache import AGAIN, CLEAN, KVCache, LayerCache
from ..policies import Policy
from ..rope import RopeDims
from .graphs import Recorder, Recordings, places
from .network import Moments, make_causal
from .schedule import Step, steps_of

Network = Callable[[Tensor, float], Tensor]  # latents and their timestep -> what the network predicts
Work = Callable[..., Tensor]


class Strengths(Protocol):
    """How strongly LoRAs are in the weights, see `strengths.MergedLoras`."""

    names: tuple[str, ...]
    given: tuple[float, ...]

    def check(self, strengths: Sequence[float]) -> tuple[float, ...]: ...

    def set(self, strengths: tuple[float, ...]) -> None: ...


class CausalWan:
    """A stock Wan transformer whose self-attention reads a KV cache. Several videos may share one, a call at a time."""

    def __init__(self, transformer: WanTransformer3DModel, sampling: Sampling) -> None:
        self.transformer = transformer.eval().requires_grad_(False)
        self.sampling, self.steps = sampling, steps_of(sampling)
        self.strengths: Strengths | None = None  # of LoRAs, where there are any
        self._strengths: WeakKeyDictionary[KVCache, tuple[float, ...]] = WeakKeyDictionary()  # of each run
        self._lock = threading.Lock()
        self._moments: WeakKeyDictionary[KVCache, Moments] = WeakKeyDictionary()  # of each run: weights may change
        self.recorder: Recorder | None = None  # None: passes are not recorded
        self.eight_bits: EightBitKernel | None = None  # of self-attention; None: it is exact
        self.no_eight_bits: str | None = None  # why it is exact, where 8 bits were asked for
        self._recordings: WeakKeyDictionary[KVCache, Recordings] = WeakKeyDictionary()
        make_causal(transformer)
        for block in transformer.blocks:
            block.attn1.set_processor(CausalSelfAttention())
            block.attn2.set_processor(PromptCrossAttention())

    @property
    def layers(self) -> int:
        return self.transformer.config.num_layers

    @property
    def heads(self) -> int:
        return self.transformer.config.num_attention_heads

    @property
    def head_dim(self) -> int:
        return self.transformer.config.attention_head_dim

    @property
    def channels(self) -> int:
        return self.transformer.config.in_channels

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.patch_embedding.weight.dtype

    def geometry(self, height: int, width: int, chunk_frames: int = 3) -> Geometry:
        """Token grid of latents of height x width. Raises SettingsError when the patches do not tile them."""
        _, rows, columns = self.transformer.config.patch_size
        if height % rows or width % columns:
            raise SettingsError(f"latents of {height} x {width} cannot be cut into patches of {rows} x {columns}")
        return Geometry(height // rows, width // columns, chunk_frames)

    def new_cache(self, policy: Policy, geometry: Geometry, seed: int = 0) -> KVCache:
        return KVCache(policy, geometry, RopeDims.of_head(self.head_dim), self.heads, seed)

    def set_strengths(self, strengths: tuple[float, ...], cache: KVCache) -> None:
        """How strongly LoRAs are in the weights for all passes over this cache that are to come; a prompt has to be
        projected anew. Raises ModelError, and changes nothing, where their files are gone."""
        with self._lock:
            self.strengths.set(strengths)
            self._strengths[cache] = strengths
            self._moments.pop(cache, None)

    @torch.no_grad()
    def denoise(self, x: Tensor, noise: Tensor, step: Step, cache: KVCache, prompt: Prompt) -> Tensor:
        """One step of the schedule over a chunk [B, channels, frames, height, width], to the next step's level."""

        def work(network: Network, x: Tensor, noise: Tensor) -> Tensor:
            return step.take(x, self._flow(x, network(x, step.timestep), step.timestep), noise)

        made = self._pass(work, (x, noise), cache, prompt, step.number, step)
        if cache.policy.compares_predictions:
            cache.predicted(step.clean(made, noise))
        return made

    @torch.no_grad()
    def flow(self, x: Tensor, timestep: float, cache: KVCache, prompt: Prompt, step: int = 0) -> Tensor:
        """Predicted flow (noise - x0) of a chunk [B, channels, frames, height, width] at `timestep` of 1000."""

        def work(network: Network, x: Tensor) -> Tensor:
            return self._flow(x, network(x, timestep), timestep)

        return self._pass(work, (x,), cache, prompt, step, timestep)

    @torch.no_grad()
    def remember(self, clean: Tensor, cache: KVCache, prompt: Prompt) -> Tensor:
        """The clean pass at t = 0, and where the policy has the chunk encoded anew a second one: appends the chunk's
        keys and values to the cache. Returns the first pass's output."""

        def work(network: Network, x: Tensor) -> Tensor:
            return network(x, 0.0)

        out = self._pass(work, (clean,), cache, prompt, CLEAN, CLEAN)
        if cache.open_again():
            self._pass(work, (clean,), cache, prompt, AGAIN, AGAIN)
        cache.advance()
        return out

    def _flow(self, x: Tensor, out: Tensor, timestep: float) -> Tensor:
        """What the network says of x, as flow."""
        if self.sampling.prediction == "flow":
            return out
        return ((x.float() - out.float()) / (timestep / 1000)).to(x.dtype)

    def _pass(
        self, work: Work, inputs: tuple[Tensor, ...], cache: KVCache, prompt: Prompt, step: int, name: Hashable
    ) -> Tensor:
        """`work`, which is given the network, with this cache and this prompt. Equal names are the same work."""
        cache.in_8_bits = self.eight_bits is not None
        moments, texts = self._moments.setdefault(cache, Moments()), prompt.projected(self.layers)
        with (
            self._lock,
            self._strong(cache),
            cache.one_pass(self.layers, inputs[0].device, step) as held,
            self._lent(cache, held, texts),
        ):
            text = None if all(text.keys is not None for text in texts) else prompt.embeds

            def network(x: Tensor, timestep: float) -> Tensor:
                return self.transformer(x.to(self.dtype), timestep, moments, text).to(x.dtype)

            def whole(*inputs: Tensor) -> Tensor:
                return work(network, *inputs)

            if self.recorder is None or text is not None or any(layer.reading is None for layer in held):
                return whole(*inputs)
            recordings = self._recordings.setdefault(cache, Recordings(self.recorder))
            variant = (name, tuple(x.shape for x in inputs), places(t for layer in held for t in layer.touched))
            return recordings.run(self._scene(texts), variant, whole, inputs)

    def _strong(self, cache: KVCache) -> AbstractContextManager:
        """The weights are this run's, whatever another run has made of them."""
        if self.strengths is not None:
            self.strengths.set(self._strengths.get(cache, self.strengths.given))
        return nullcontext()

    def _scene(self, texts: list[LayerPrompt]) -> Hashable:
        """What every pass depends on besides the cache: the prompt, and how blocks are computed."""
        block = self.transformer.blocks[0]
        own = block.attn1.processor
        how = own.backend, own.joined, self.eight_bits, "forward" in vars(block)
        return how, places(t for text in texts for t in (text.keys, text.values))

    @contextmanager
    def _lent(self, cache: KVCache, layers: list[LayerCache], texts: list[LayerPrompt]) -> Iterator[None]:
        """Each block's attention has its layer of the cache, and of the prompt."""
        blocks = self.transformer.blocks
        try:
            for block, layer, text in zip(blocks, layers, texts, strict=True):
                own = block.attn1.processor
                own.cache, own.layer, own.eight_bits = cache, layer, self.eight_bits
                block.attn2.processor.prompt = text
            yield
        finally:
            for block in blocks:
                block.attn1.processor.cache = block.attn1.processor.layer = block.attn2.processor.prompt = None
