"""What a model will take, before it is loaded, against what it takes; and runs that end for want of memory."""

import weakref
from dataclasses import replace

import pytest
import torch
from conftest import CHANNELS, WordHash, small_pipeline, small_transformer
from diffusers import AutoencoderKLWan
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import UMT5Config, UMT5EncoderModel

from deepforcing import ModelError, load_pipeline
from deepforcing.attention import Prompt
from deepforcing.config import Sampling, SettingsError
from deepforcing.eight_bit import simulated
from deepforcing.events import Chunk
from deepforcing.fitting import fit
from deepforcing.memory import Plan, Room, Sizes, describe, forecast, free_memory, room, sizes_of
from deepforcing.models.placement import FP8, place_weights
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.wan import CausalWan
from deepforcing.out_of_memory import is_out_of_memory
from deepforcing.policies import POLICIES, DeepForcing, SlidingWindow
from deepforcing.stream import VideoStream
from deepforcing.telemetry import cache_state

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
GIB = 2**30
SELF_FORCING = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}
TAEHV = CodecConfig(
    latent_channels=16,
    patch_size=1,
    encoder_widths=(),
    encoder_blocks=(),
    decoder_widths=(256, 128, 64, 64),
    decoder_blocks=(3, 3, 3),
    decoder_spatial=(True, True, True),
    signed=False,
)


class LiveBytes(TorchDispatchMode):
    """Follows every tensor's memory from its making to its end."""

    def __init__(self):
        super().__init__()
        self.alive, self.now, self.peak = {}, 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._follow(tensor.untyped_storage())
        return out

    def _follow(self, storage):
        if storage._cdata not in self.alive:
            self.alive[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, storage._cdata)

    def _forget(self, key):
        self.now -= self.alive.pop(key)


@pytest.fixture(scope="module")
def wan():
    """The sizes of Self Forcing 1.3B."""
    with torch.device("meta"):
        config = UMT5Config(
            vocab_size=256384,
            d_model=4096,
            d_kv=64,
            d_ff=10240,
            num_layers=24,
            num_heads=64,
            feed_forward_proj="gated-gelu",
        )
        text = UMT5EncoderModel(config)
    return sizes_of(SELF_FORCING, {"full": {}, "small": TAEHV}, sum(p.numel() for p in text.parameters()))


def full_size(**changes) -> Plan:
    return replace(Plan(480, 832, DeepForcing()), **changes)


def test_the_published_numbers_of_self_forcing(wan):
    assert wan.parameters == 1_418_996_800 and wan.layers == 30 and wan.width == 1536
    assert forecast(wan, full_size(), CUDA).weights == 2 * 1_418_996_800
    for frames, gigabytes in ((21, 6.04), (16, 4.6)):
        needs = forecast(wan, full_size(policy=SlidingWindow(frames)), CUDA)
        assert 2 * needs.turned / 1e9 == pytest.approx(gigabytes, rel=0.01), "keys and values"
        assert 1 < needs.cache / needs.turned / 2 < 1.03


def test_keys_and_values_in_8_bits_are_counted_once_more():
    model = CausalWan(small_transformer(layers=3), Sampling())
    model.eight_bits = simulated
    cache, prompt = model.new_cache(SlidingWindow(9), model.geometry(16, 16)), Prompt("", WordHash().encode(["a"]))
    x = torch.zeros(1, CHANNELS, 3, 16, 16)
    for _ in range(4):
        model.remember(x, cache, prompt)
    model.flow(x, 1000.0, cache, prompt)
    held = sum(t.untyped_storage().nbytes() for c in cache.layers.values() for t in c.in_8_bits.touched[:2])
    sizes = sizes_of(dict(small_transformer(layers=3).config), {"full": CodecConfig(latent_channels=CHANNELS)})
    plan = Plan(128, 128, SlidingWindow(9), dtype=torch.float32)
    exact, more = (forecast(sizes, replace(plan, eight_bits=on), CPU) for on in (False, True))
    assert more.device - exact.device == more.turned - exact.turned == held


def small_cache_forecast(policy, dtype):
    sizes = sizes_of(dict(small_transformer(layers=3).config), {"full": CodecConfig(latent_channels=CHANNELS)})
    return forecast(sizes, Plan(128, 128, policy, dtype=dtype), CPU)


@pytest.mark.parametrize("policy", [SlidingWindow(), SlidingWindow(9), DeepForcing()])
def test_the_cache_takes_what_was_forecast(policy):
    model = CausalWan(small_transformer(layers=3), Sampling())
    cache, prompt = model.new_cache(policy, model.geometry(16, 16)), Prompt("", WordHash().encode(["a"]))
    x, most = torch.zeros(1, CHANNELS, 3, 16, 16), [0, 0]
    for _ in range(9):
        model.flow(x, 1000.0, cache, prompt)
        layers = cache.layers.values()
        held = sum(t.numel() * t.element_size() for c in layers for t in (c.slots, c.reading.values))
        most = [max(most[0], held), max(most[1], sum(4 * c.reading.keys.numel() for c in layers))]
        model.remember(x, cache, prompt)
    needs = small_cache_forecast(policy, torch.float32)
    keys_and_values = 2 * needs.turned
    assert 0.85 * keys_and_values <= most[0] <= keys_and_values <= needs.cache
    assert 0.85 * needs.turned <= most[1] <= needs.turned


def tensors_in(thing) -> dict[int, int]:
    """Bytes of every tensor that it holds, by where they are: the same memory counts once."""
    if isinstance(thing, torch.Tensor):
        storage = thing.untyped_storage()
        return {storage.data_ptr(): storage.nbytes()}
    parts = thing if isinstance(thing, list | tuple) else vars(thing).values() if hasattr(thing, "__dict__") else ()
    return {place: size for part in parts for place, size in tensors_in(part).items()}


@pytest.mark.parametrize(
    "policy",
    [*(make() for make in POLICIES.values()), DeepForcing(heads="separate"), DeepForcing(score="softmax")],
    ids=lambda policy: f"{policy.name} {getattr(policy, 'heads', '')} {getattr(policy, 'score', '')}",
)
def test_all_that_a_policy_keeps_was_forecast(policy):
    model = CausalWan(small_transformer(layers=3), Sampling())
    cache, prompt = model.new_cache(policy, model.geometry(16, 16)), Prompt("", WordHash().encode(["a"]))
    x, held, told = torch.zeros(1, CHANNELS, 3, 16, 16), 0, 0
    for _ in range(9):
        model.flow(x, 1000.0, cache, prompt)
        told = max(told, cache_state(cache).bytes)
        held = max(held, sum(tensors_in(list(cache.layers.values())).values()))
        model.remember(x, cache, prompt)
    needs = small_cache_forecast(policy, torch.float32)
    least = min(0.85, 1 - 3 / policy.window)  # the chunk in flight is not told of
    assert least * 2 * needs.turned <= told <= 2 * needs.turned
    assert 0.75 * (needs.cache + needs.turned) <= held <= needs.cache + needs.turned


def sizes_and_passing(ffn: int, dtype: torch.dtype, before: int) -> tuple[Sizes, int]:
    """Of a small model; and what a pass takes of memory that it does not keep, so many passes into a chunk."""
    torch.manual_seed(0)
    config = {"num_attention_heads": 2, "attention_head_dim": 64, "ffn_dim": ffn, "num_layers": 2, "text_dim": 16}
    transformer = type(small_transformer())(in_channels=CHANNELS, out_channels=CHANNELS, **config)
    model = CausalWan(transformer.to(dtype), Sampling())
    cache = model.new_cache(SlidingWindow(), model.geometry(16, 16))
    prompt = Prompt("", torch.zeros(1, 4, 16, dtype=dtype))
    x = torch.zeros(1, CHANNELS, 3, 16, 16)
    for _ in range(9):
        model.flow(x, 1000.0, cache, prompt)
        model.remember(x, cache, prompt)
    for _ in range(before):
        model.flow(x, 1000.0, cache, prompt)
    with LiveBytes() as followed:
        model.flow(x, 1000.0, cache, prompt)
        tensors = [t for c in cache.layers.values() for t in (c.slots, c.reading.values, c.reading.keys)]
    held = {t.untyped_storage()._cdata for t in tensors}
    kept = sum(size for key, size in followed.alive.items() if key in held)
    return sizes_of(config, {"full": {}}), followed.peak - kept - _weights_seen(followed, model)


@pytest.mark.usefixtures("pytorchs_attention")  # the CPU's own holds its scores, at most 67 MB
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ffn", [64, 1024])
def test_a_pass_takes_at_most_what_was_forecast(ffn, dtype):
    """The first of a chunk, in which the history is turned; and a later one, as it is recorded."""
    sizes, opening = sizes_and_passing(ffn, dtype, before=0)
    needs = forecast(sizes, Plan(128, 128, SlidingWindow(), dtype=dtype), CPU)
    assert 0.3 * needs.activations < opening <= 1.1 * needs.activations and not needs.recorded
    _, later = sizes_and_passing(ffn, dtype, before=1)
    recorded = forecast(sizes, Plan(128, 128, SlidingWindow(), dtype=dtype, graphs=True), CUDA).recorded
    assert 0.4 * recorded < later <= 1.1 * recorded


def test_graphs_and_frames_on_their_way_are_counted_on_a_gpu(wan):
    plain, graphs = (forecast(wan, full_size(graphs=on, decoder="small"), CUDA) for on in (False, True))
    assert plain.host == 12 * 480 * 832 * 3, "a chunk of frames in pinned memory"
    assert graphs.device - plain.device == graphs.recorded > 0.7 * plain.decoding, "the small decoder is recorded too"
    assert graphs.recorded > forecast(wan, full_size(graphs=True), CUDA).recorded > 0, "Wan's VAE is not"
    assert forecast(wan, full_size(graphs=True), CPU) == forecast(wan, full_size(), CPU)


def _weights_seen(followed, model) -> int:
    return sum(
        p.untyped_storage().nbytes()
        for p in model.transformer.parameters()
        if p.untyped_storage()._cdata in followed.alive
    )


@pytest.mark.parametrize("widths", [(64, 64, 32, 32), (16, 32, 16, 8)])
def test_a_small_decoder_takes_about_what_was_forecast(widths):
    config = replace(TAEHV, decoder_widths=widths)
    codec, state = TinyCodec(config), None
    with torch.no_grad(), LiveBytes() as followed:
        for _ in range(2):
            _, state = codec.decode(torch.zeros(1, 3, 16, 8, 10), state)
    needs = forecast(
        sizes_of(SELF_FORCING | {"num_layers": 1}, {"full": config}),
        Plan(64, 80, SlidingWindow(), dtype=torch.float32),
        CPU,
    )
    assert 0.5 * needs.decoding < followed.peak <= 1.1 * needs.decoding
    assert needs.decoder == 4 * sum(p.numel() for p in codec.decoder.parameters())


def test_what_fits_is_left_as_it_is(wan):
    (only,) = fit(wan, full_size(), Room(80 * GIB, 64 * GIB), CUDA)
    assert only.plan == full_size() and only.changes == ()


@pytest.mark.parametrize("gib", [24, 16, 12, 8, 6])
def test_the_nearest_settings_fit_and_change_no_more_than_they_must(wan, gib):
    found = fit(wan, full_size(), Room(gib * GIB, 64 * GIB), CUDA)
    assert found and all(s.forecast.device <= gib * GIB and s.changes for s in found)
    assert [len(s.changes) for s in found] == sorted(len(s.changes) for s in found)
    for a in found:
        assert not any(set(b.changes) < set(a.changes) for b in found)
    assert any("text encoder on the CPU" in s.changes for s in found)
    for s in found:
        asked = dict(option.removeprefix("--").split() for option in s.options)
        assert asked.get("text", "device") == s.plan.text and asked.get("weights", "resident") == s.plan.weights
        assert asked.get("decoder", "full") == s.plan.decoder
        assert asked.get("size", "480x832") == f"{s.plan.height}x{s.plan.width}"


@pytest.mark.parametrize("changes", [{"text": "cpu"}, {"text": "move"}, {"weights": "offload"}])
def test_on_a_cpu_nothing_is_kept_elsewhere(wan, changes):
    assert forecast(wan, full_size(**changes), CPU) == forecast(wan, full_size(), CPU)
    free = Room(30 * GIB, 64 * GIB)
    assert not free.holds(forecast(wan, full_size(dtype=torch.float32), CPU))
    for suggestion in fit(wan, full_size(dtype=torch.float32), free, CPU):
        assert suggestion.plan.text == "device" and suggestion.plan.weights != "offload"


def test_of_a_vae_the_decoder_counts(wan):
    with torch.device("meta"):
        vae = AutoencoderKLWan()
    vae.encoder = vae.quant_conv = None
    assert wan.decoders["full"].parameters == sum(p.numel() for p in vae.parameters())


def test_a_full_host_and_an_impossible_device(wan):
    assert fit(wan, full_size(), Room(GIB, 64 * GIB), CUDA) == []
    for suggestion in fit(wan, full_size(), Room(24 * GIB, 2 * GIB), CUDA):
        assert suggestion.plan.text == "device" and suggestion.plan.weights != "offload"


def test_smaller_windows_keep_their_proportions(wan):
    small = fit(wan, full_size(text="cpu", decoder="small", weights="fp8"), Room(11 * GIB, 64 * GIB), CUDA)
    policy = next(s.plan.policy for s in small if s.plan.policy != DeepForcing())
    assert (policy.window, policy.sink, policy.budget) == (15, 7, 12)


def test_the_table_adds_up(wan):
    needs = forecast(wan, full_size(weights="offload", text="cpu"), CUDA)
    lines = describe(needs, Room(24 * GIB, 32 * GIB)).splitlines()
    *parts, device, host = [(line[:26].strip(), float(line[26:34])) for line in lines]
    assert device[1] == pytest.approx(sum(size for _, size in parts), abs=0.05) and device[0] == "on the device"
    assert host == ("on the host", pytest.approx(needs.host / 1e9, abs=0.01)) and "of 25.77 GB free" in lines[-2]


def test_plans_that_cannot_be_are_refused(wan):
    with pytest.raises(SettingsError, match="no decoder 'tiny'; there are full, small"):
        forecast(wan, full_size(decoder="tiny"), CUDA)
    with pytest.raises(SettingsError, match="830 x 480 pixels cannot be cut"):
        forecast(wan, full_size(width=830), CUDA)
    with pytest.raises(SettingsError, match="weights must be one of resident, fp8, offload"):
        full_size(weights="int4")


def test_free_memory_is_measured():
    assert 0 < free_memory(CPU) < 2**50 and room(CPU).host == pytest.approx(room(CPU).device, rel=0.2)


@pytest.mark.parametrize(("weights", "closeness"), [("fp8", 0.2), ("offload", 1e-6), ("resident", 0)])
def test_weights_placed_otherwise_give_the_same_flow(weights, closeness):
    prompt, x = (
        WordHash().encode(["a b"]),
        torch.randn(1, CHANNELS, 3, 4, 6, generator=torch.Generator().manual_seed(1)),
    )

    def flow(model):
        return model.flow(x, 800.0, model.new_cache(SlidingWindow(), model.geometry(4, 6)), Prompt("", prompt))

    expected = flow(CausalWan(small_transformer(), Sampling()))
    model = CausalWan(small_transformer(), Sampling())
    place_weights(model, weights, CPU)
    assert (flow(model) - expected).norm() <= closeness * expected.norm()
    stored = sum(p.numel() * p.element_size() for p in model.transformer.parameters())
    sizes = sizes_of(dict(model.transformer.config), {"full": TAEHV})
    if weights == "fp8":
        assert model.transformer.blocks[0].ffn.net[2].weight.dtype == FP8
        needs = forecast(sizes, Plan(32, 48, SlidingWindow(), weights="fp8", dtype=torch.float32), CPU)
        assert needs.weights == stored


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ],
)
def test_a_run_without_memory_ends_in_words_and_the_next_one_works(error, overlap):
    pipeline, forward = small_pipeline(), CausalWan.denoise
    caches, passes = [], []

    def failing(self, x, noise, step, cache, prompt):
        caches.append(weakref.ref(cache))
        passes.append(0)
        if len(passes) == 6:  # in the second chunk, four steps each
            raise error
        return forward(self, x, noise, step, cache, prompt)

    pipeline.denoiser.denoise = failing.__get__(pipeline.denoiser)
    with VideoStream(pipeline, "a", overlap=overlap) as stream:
        *_, end = stream
    assert end.reason == "error" and end.chunks <= 1
    assert end.error.startswith("Out of memory on the CPU, with a window of 21 and budget of 16. Take a smaller window")
    error.__traceback__ = None  # this test's own hold on the run
    del pipeline.denoiser.denoise
    assert caches[0]() is None, "the run's cache is still in memory"
    with VideoStream(pipeline, "a", num_frames=21, overlap=overlap) as stream:
        assert sum(len(event.frames) for event in stream if isinstance(event, Chunk)) == 21


def test_a_model_that_cannot_be_loaded_for_want_of_memory_says_so(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    monkeypatch.setattr("deepforcing.pipeline.load_released", full)
    with pytest.raises(ModelError, match=r"^Out of memory on the CPU while self-forcing was loaded\. Take the small"):
        load_pipeline("self-forcing", CPU)


def test_other_errors_are_not_taken_for_a_want_of_memory():
    assert not is_out_of_memory(RuntimeError("shape mismatch")) and not is_out_of_memory(ValueError("out of memory"))
