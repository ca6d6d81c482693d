"""UMT5 as Wan uses it: cleaning, rows and zeros as in diffusers' pipeline; where the weights live; what is refused."""

import json
import shutil

import pytest
import torch
from diffusers import WanPipeline
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from deepforcing import ModelError
from deepforcing.models.wan_text import EMBEDDING, ITS_COPY, REMEMBERED, WEIGHTS, clean, load_text_encoder

CPU = torch.device("cpu")
ROWS = 12
END = 1
PROMPT = "a red kite over the sea"


def small_tokenizer() -> Tokenizer:
    """Of UMT5's kind: pieces of words, bytes for what it has no piece for, and an end token."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<s>", 0.0), ("<unk>", 0.0)]
    pieces = [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    pieces += [(f"▁{word}", -3.0) for word in (*PROMPT.split(), "cat's")] + [("▁", -4.0)]
    tokenizer = Tokenizer(models.Unigram(special + pieces, unk_id=3, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", END)])
    return tokenizer


@pytest.fixture(scope="module")
def model() -> UMT5EncoderModel:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_heads": 4, "num_layers": 2, "vocab_size": 300}
    return UMT5EncoderModel(UMT5Config(**sizes)).eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wan")
    model.save_pretrained(folder / "text_encoder")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=small_tokenizer(), eos_token="</s>", pad_token="<pad>")
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "wan")


def load(folder, **options):
    return load_text_encoder(folder, CPU, torch.float32, **{"rows": ROWS, **options})


@pytest.mark.parametrize(
    "prompts", [[PROMPT], ["", "cat"], [f"  {PROMPT}\n\tcat&amp;#39;s  ", "schÃ¶n 🎈"], [f"{PROMPT} {PROMPT} {PROMPT}"]]
)
def test_embeddings_equal_those_of_diffusers_pipeline(saved, model, prompts):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(saved / "tokenizer")
    pipeline = WanPipeline(tokenizer, model, vae=None, scheduler=None, transformer=None)
    with torch.no_grad():
        expected, _ = pipeline.encode_prompt(prompts, None, False, max_sequence_length=ROWS, device=CPU)
    torch.testing.assert_close(load(saved).encode(prompts), expected, atol=1e-5, rtol=0)


def test_rows_after_the_end_token_are_zeros(saved):
    text = load(saved)
    rows, used = text.encode([PROMPT])[0], text.tokens(PROMPT)
    assert rows.shape == (ROWS, text.text_dim) and used == len(PROMPT.split()) + 1
    assert rows[:used].abs().sum(-1).min() > 0 and rows[used:].abs().sum() == 0


def test_there_are_512_rows_unless_told_otherwise(saved):
    assert load_text_encoder(saved, CPU, torch.float32).encode(["a kite"]).shape == (1, 512, 32)


def test_long_prompts_are_counted_whole_and_cut(saved):
    text, long = load(saved), " ".join([PROMPT] * 5)
    assert text.tokens(long) == 5 * len(PROMPT.split()) + 1
    rows = text.encode([long])
    assert rows[0].abs().sum(-1).min() > 0
    assert torch.equal(rows, text.encode([long + " cat"]))


def test_where_a_prompt_is_cut_is_known(saved):
    text = load(saved)
    words = " ".join([PROMPT] * 5).split()
    read, rest = " ".join(words[: ROWS - 1]), " ".join(words[ROWS - 1 :])
    assert text.unread(read) == "" and text.unread(f"  {read}  {rest} &amp; 🎈").strip() == f"{rest} & 🎈"
    assert torch.equal(text.encode([read]), text.encode([f"{read} {rest}"]))


def test_what_has_no_word_is_spelled(saved):
    text = load(saved)
    assert text.unknown_words("a dragon 🎈") == []
    assert text.tokens("🎈") == 1 + len("🎈".encode()) + 1  # a space, the bytes, the end
    assert not torch.allclose(text.encode(["a 🎈"]), text.encode(["a 🚀"]))


@pytest.mark.parametrize(
    "prompt, cleaned",
    [
        ("  two\n\n words\t", "two words"),
        ("salt &amp; pepper &amp;lt;3", "salt & pepper <3"),
        ("schÃ¶n", "schön"),
        ("“quoted”", '"quoted"'),
        ("", ""),
    ],
)
def test_prompts_are_cleaned(prompt, cleaned):
    assert clean(prompt) == cleaned


@pytest.mark.parametrize("keep", ["device", "move", "cpu", "free"])
def test_where_the_weights_live_does_not_change_embeddings(saved, model, keep):
    text = load(saved, keep=keep)
    ids = small_tokenizer().encode(PROMPT).ids
    with torch.no_grad():
        expected = model(torch.tensor([ids])).last_hidden_state
    for _ in range(2):
        torch.testing.assert_close(text.encode([PROMPT])[:, : len(ids)], expected)


def test_freed_weights_are_read_anew_and_known_prompts_need_none(folder):
    text = load(folder, keep="free")
    first = text.encode([PROMPT])
    (folder / "text_encoder" / WEIGHTS).unlink()
    assert torch.equal(text.encode([f" {PROMPT} "]), first)
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing"):
        text.encode(["a cat"])
    assert torch.equal(text.encode([PROMPT]), first)


def test_only_the_latest_prompts_are_remembered(folder):
    text = load(folder, keep="free")
    text.encode([PROMPT])
    text.encode([str(i) for i in range(REMEMBERED - 1)])
    text.encode([PROMPT])  # so that "0" is now the oldest
    text.encode(["the sea"])
    (folder / "text_encoder" / WEIGHTS).unlink()
    assert text.encode([PROMPT, "the sea", "1"]).shape == (3, ROWS, 32)
    with pytest.raises(ModelError):
        text.encode(["0"])


def test_more_prompts_than_are_remembered_still_work(saved):
    text, prompts = load(saved), [str(i) for i in range(REMEMBERED + 3)]
    rows = text.encode(prompts)
    torch.testing.assert_close(rows[0], text.encode(["0"])[0])
    torch.testing.assert_close(rows[-1], text.encode([prompts[-1]])[0])


@pytest.mark.parametrize("names", [[EMBEDDING], [ITS_COPY], [EMBEDDING, ITS_COPY]])
def test_the_embedding_may_have_either_name(folder, saved, names):
    path = folder / "text_encoder" / WEIGHTS
    tensors = load_file(path)
    embedding = next(tensors.pop(name) for name in (EMBEDDING, ITS_COPY) if name in tensors)
    tensors.pop(ITS_COPY, None)
    save_file(tensors | {name: embedding.clone() for name in names}, path)
    config = folder / "text_encoder" / "config.json"  # Wan's says that they are not tied, of a head that is not there
    config.write_text(json.dumps(json.loads(config.read_text()) | {"tie_word_embeddings": False}))
    assert torch.equal(load(folder).encode([PROMPT]), load(saved).encode([PROMPT]))


def test_shards_are_read_in_the_asked_precision(folder, saved, model):
    (folder / "text_encoder" / WEIGHTS).unlink()
    model.save_pretrained(folder / "text_encoder", max_shard_size="20kB")
    (folder / "text_encoder" / WEIGHTS).unlink(missing_ok=True)
    rows = load_text_encoder(folder, CPU, torch.bfloat16, rows=ROWS).encode([PROMPT])
    assert rows.dtype == torch.bfloat16
    torch.testing.assert_close(rows.float(), load(saved).encode([PROMPT]), atol=0.1, rtol=0)


@pytest.mark.parametrize("keep", ["device", "free"])
def test_missing_truncated_and_foreign_weights_are_named_before_loading(folder, keep):
    path = folder / "text_encoder" / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        load(folder, keep=keep)
    save_file({"other": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match=r"of another model: expected shared\.weight"):
        load(folder, keep=keep)
    path.unlink()
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing"):
        load(folder, keep=keep)


def test_a_missing_shard_is_named(folder, model):
    model.save_pretrained(folder / "text_encoder", max_shard_size="20kB")
    shard = sorted((folder / "text_encoder").glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(ModelError, match=f"{shard.name} is missing"):
        load(folder)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "t5"}, "expected model_type umt5, found t5"),
        ({"d_model": "wide"}, "does not describe an encoder"),
        ({"dense_act_fn": "odd"}, "cannot be built"),
        ({"vocab_size": 200}, "it has 268 tokens, the encoder 200"),
        ({"eos_token_id": 5}, "does not end a prompt with token 5"),
        ({"d_model": 16}, r"expected shared\.weight with shape \(300, 16\), found \(300, 32\)"),
    ],
)
def test_a_wrong_description_is_refused(folder, change, message):
    path = folder / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_a_missing_or_broken_tokenizer_is_named(folder):
    path = folder / "tokenizer" / "tokenizer.json"
    path.write_text("not a tokenizer")
    with pytest.raises(ModelError, match=r"tokenizer\.json is damaged"):
        load(folder)
    path.unlink()
    with pytest.raises(ModelError, match=r"tokenizer\.json is missing"):
        load(folder)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json is missing: expected the folder of umt5"):
        load(tmp_path)


def test_an_unknown_place_is_refused(saved):
    with pytest.raises(ValueError, match="keep must be one of device, move, cpu, free"):
        load(saved, keep="disk")
