"""The cache under diffusers' own pipeline and transformer."""

import pytest
import torch
from conftest import CHANNELS, TEXT_DIM, WordHash, small_transformer
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from small_wan import small_transformer as published_transformer
from test_documents import SNIPPETS
from test_kv_cache import last_flow, videos
from test_wan_decoder import small_vae

from deepforcing import DeepForcing, SettingsError, SlidingWindow
from deepforcing.attached import CachedTransformer
from deepforcing.policies import make_policy

SMALL = DeepForcing(window=9, sink=3, budget=8, recent=4)
EMBEDS, OTHER = WordHash().encode(["a b"]), WordHash().encode(["c d"])


def stock_pipeline(scheduler=None):
    """diffusers' text-to-video pipeline, without a text encoder, and a VAE for its sizes alone."""
    scheduler = scheduler or FlowMatchEulerDiscreteScheduler(shift=5.0)
    pipe = WanPipeline(None, None, small_vae(), scheduler, small_transformer())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def chunk(pipe, embeds=EMBEDS, steps=2, seed=0, **more):
    generator = torch.Generator().manual_seed(seed)
    options = {"height": 32, "width": 48, "num_frames": 9, "guidance_scale": 1.0, "output_type": "latent"} | more
    return pipe(prompt_embeds=embeds, num_inference_steps=steps, generator=generator, **options).frames


def plain_call(transformer, x):
    return transformer(x, torch.tensor([500.0]), EMBEDS, return_dict=False)[0]


@pytest.mark.parametrize("policy", [SMALL, SlidingWindow(), make_policy("rolling-sink", window=12, sink=3)])
def test_a_transformer_reads_the_cache_as_the_denoiser_does(policy):
    clean = videos(1, chunks=6)
    expected, _ = last_flow(policy, clean, ["a b"])
    with policy.on(small_transformer()) as cached:
        for x in clean[:-1]:
            cached(x * 0.7, torch.tensor([1000.0]), EMBEDS)
            cached.remember(x)
        (flow,) = cached(clean[-1], torch.tensor([1000.0]), EMBEDS)
    assert torch.equal(flow, expected)
    assert torch.equal(cached.latents, torch.cat(list(clean[:-1]), 2))


@pytest.mark.parametrize("scheduler", [None, UniPCMultistepScheduler(use_flow_sigmas=True, flow_shift=5.0)])
def test_a_stock_pipeline_makes_a_chunk_a_call_and_each_is_remembered(scheduler):
    pipe = stock_pipeline(scheduler)
    with SMALL.on(pipe) as cached:
        made = [chunk(pipe, seed=seed) for seed in range(6)]
        state = cached.cache["cond"]
    assert [m.shape for m in made] == [(1, CHANNELS, 3, 4, 6)] * 6
    assert torch.equal(cached.latents, torch.cat(made, 2))
    assert state.next_frame == 18 and set(cached.cache) == {"cond"}
    assert state.layers[0].tokens == 8 * 6 and state.layers[0].positions[0, :18, 0].unique().tolist() == [0, 1, 2]


def test_a_chunk_depends_on_the_past_and_the_first_one_does_not():
    alone = chunk(stock_pipeline(), seed=1)
    pipe = stock_pipeline()
    with SMALL.on(pipe):
        first, second = chunk(pipe, seed=1), chunk(pipe, seed=1)
    torch.testing.assert_close(first, alone, atol=1e-4, rtol=1e-4)  # a chunk without a past is what the stock one makes
    assert not torch.allclose(second, alone, atol=1e-2)


def test_with_guidance_each_pass_has_its_own_past():
    pipe = stock_pipeline()
    with SMALL.on(pipe) as cached:
        for seed in range(3):
            chunk(pipe, guidance_scale=5.0, negative_prompt_embeds=OTHER, seed=seed)
    assert set(cached.cache) == {"cond", "uncond"}
    assert [cache.next_frame for cache in cached.cache.values()] == [9, 9]
    one, other = (cache.layers[1].keys for cache in cached.cache.values())
    assert not torch.allclose(one, other)


def test_a_new_prompt_is_told_to_the_policy():
    def held(second):
        pipe = stock_pipeline()
        with make_policy("infinity-rope", window=12).on(pipe) as cached:
            for seed, embeds in enumerate([EMBEDS, EMBEDS, EMBEDS, second]):
                chunk(pipe, embeds, seed=seed)
        return cached.cache["cond"].layers[0].tokens // 6

    assert (held(EMBEDS), held(OTHER)) == (12, 5)


def test_everything_is_given_back_even_after_an_error():
    pipe = stock_pipeline()
    transformer, x = pipe.transformer, videos(1, chunks=1)[0]
    transformer.train().requires_grad_(True)
    before, processors = plain_call(transformer, x), [block.attn1.processor for block in transformer.blocks]
    with pytest.raises(RuntimeError, match="on purpose"), SMALL.on(pipe):
        chunk(pipe)
        assert isinstance(pipe.transformer, CachedTransformer)
        raise RuntimeError("on purpose")
    assert pipe.transformer is transformer and type(transformer) is WanTransformer3DModel
    assert [block.attn1.processor for block in transformer.blocks] == processors and transformer.training
    assert all(parameter.requires_grad for parameter in transformer.parameters())
    assert "step" not in vars(pipe.scheduler) and torch.equal(plain_call(transformer, x), before)


def test_what_it_cannot_go_under_is_said():
    with pytest.raises(SettingsError, match="one Wan transformer"), SMALL.on(object()):
        pass
    x = videos(1, chunks=1)[0]
    with SMALL.on(small_transformer()) as cached:
        with pytest.raises(SettingsError, match="text to video"):
            cached(x, torch.tensor([1000.0]), EMBEDS, encoder_hidden_states_image=torch.zeros(1, 2, TEXT_DIM))
        cached(x, torch.tensor([1000.0]), EMBEDS)
        with pytest.raises(SettingsError, match="all chunks of a video have the same size"):
            cached(x[:, :, :2], torch.tensor([1000.0]), EMBEDS)


def test_the_example_of_the_documentation_works(monkeypatch):
    def from_pretrained(folder, torch_dtype):
        pipe = WanPipeline(None, None, small_vae(), FlowMatchEulerDiscreteScheduler(shift=5.0), published_transformer())
        pipe.set_progress_bar_config(disable=True)
        pipe.encode_prompt = lambda prompt, **_: (torch.full((1, 4, 32), float(len(prompt))), None)
        return pipe

    monkeypatch.setattr(WanPipeline, "from_pretrained", from_pretrained)
    example = next(s for s in SNIPPETS if ".on(pipe)" in s)
    names = {}
    exec(example.replace("480", "32").replace("832", "48"), names)
    assert names["frames"].shape == (1, 93, 3, 32, 48)
    assert names["video"].cache["cond"].next_frame == 24
