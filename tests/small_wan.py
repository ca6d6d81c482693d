"""A small model in the very layout in which Self Forcing and Wan are published, made of the real classes."""

from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

TEXT_DIM, CHANNELS, HEAD_DIM = 32, 16, 128
CHECKPOINT = Path("checkpoints") / "self_forcing_dmd.pt"
RENAMED = (  # diffusers' names -> Wan's own, in this order
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("attn1.to_out.0", "self_attn.o"),
    ("attn2.to_out.0", "cross_attn.o"),
    ("attn1.to_", "self_attn."),
    ("attn2.to_", "cross_attn."),
    ("attn1.", "self_attn."),
    ("attn2.", "cross_attn."),
    ("norm2", "norm3"),
    ("ffn.net.0.proj", "ffn.0"),
    ("ffn.net.2", "ffn.2"),
    ("proj_out", "head.head"),
)


def wan_name(name: str) -> str:
    """A diffusers name as Wan's own code has it."""
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in RENAMED:
        name = name.replace(ours, theirs)
    return name.replace("scale_shift_table", "modulation")


def small_transformer(seed: int = 0) -> WanTransformer3DModel:
    torch.manual_seed(seed)
    return WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=HEAD_DIM,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=TEXT_DIM,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
    )


def save_transformer(folder: Path, transformer: WanTransformer3DModel) -> None:
    """As the released checkpoint: a .pt with a nested dictionary of Wan's names."""
    (folder / CHECKPOINT).parent.mkdir(parents=True, exist_ok=True)
    weights = {f"model.{wan_name(name)}": tensor for name, tensor in transformer.state_dict().items()}
    torch.save({"generator_ema": weights}, folder / CHECKPOINT)


CHANGED = "blocks.1.attn1.to_q.weight"  # by the LoRA


def save_lora(path: Path) -> None:
    """As LongLive's: changes of one layer, by Wan's names."""
    wide, layer = 2 * HEAD_DIM, wan_name(CHANGED).removesuffix(".weight")
    torch.manual_seed(3)
    halves = {"lora_A": torch.randn(4, wide) / 8, "lora_B": torch.randn(wide, 4) / 8}
    torch.save({"generator_lora": {f"base_model.model.{layer}.{k}.weight": v for k, v in halves.items()}}, path)


def save_vae(folder: Path) -> None:
    torch.manual_seed(1)
    AutoencoderKLWan(base_dim=8, z_dim=CHANNELS, num_res_blocks=1).save_pretrained(folder / "vae")


def save_text(folder: Path) -> None:
    torch.manual_seed(2)
    sizes = {"d_model": TEXT_DIM, "d_kv": 8, "d_ff": 64, "num_heads": 4, "num_layers": 2, "vocab_size": 300}
    UMT5EncoderModel(UMT5Config(**sizes)).eval().save_pretrained(folder / "text_encoder")
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<s>", 0.0), ("<unk>", 0.0)]
    pieces = [(f"<0x{byte:02X}>", -9.0) for byte in range(256)] + [("▁", -4.0)]
    tokenizer = Tokenizer(models.Unigram(special + pieces, unk_id=3, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>")
    wrapped.save_pretrained(folder / "tokenizer")


def save_small_wan(folder: Path) -> Path:
    """All parts of a model, a few MB, beside each other in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_transformer(folder, small_transformer())
    save_vae(folder)
    save_text(folder)
    return folder
