"""Wan's text encoder: UMT5, whose weights (11 GB in bfloat16) live where there is room for them."""

from __future__ import annotations

import html
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import ftfy
import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers import Tokenizer
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from .components import ModelError
from .model_folder import read_config, read_weights
from .weight_files import check_tensors

ROWS = 512
REMEMBERED = 16  # prompts
WEIGHTS = "model.safetensors"
EMBEDDING, ITS_COPY = "shared.weight", "encoder.embed_tokens.weight"  # one tensor; files hold it under either name

Keep = Literal["device", "move", "cpu", "free"]


def clean(prompt: str) -> str:
    """The prompt as Wan cleans it: broken Unicode mended, HTML entities resolved twice, white space made single."""
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())


@dataclass(frozen=True)
class StoredUMT5:
    """UMT5's encoder in a folder as transformers saves it, checked tensor by tensor and not loaded."""

    folder: Path
    config: UMT5Config
    dtype: torch.dtype

    def __post_init__(self) -> None:
        self._opened()

    def load(self, device: torch.device) -> UMT5EncoderModel:
        """The encoder with its weights on a device. Raises ModelError when the files have gone or changed."""
        model, weights = self._opened()
        weights = {name: tensor.to(device, self.dtype, copy=True) for name, tensor in weights.items()}
        model.load_state_dict(weights | {ITS_COPY: weights[EMBEDDING]}, assign=True)
        model.set_input_embeddings(model.shared)
        return model.eval().requires_grad_(False)

    @property
    def parameters(self) -> int:
        """How many numbers the encoder's weights are."""
        return sum(parameter.numel() for parameter in self._opened()[0].parameters())

    def _opened(self) -> tuple[UMT5EncoderModel, dict[str, Tensor]]:
        """An encoder that takes no memory yet, and its weights, mapped from disk."""
        try:
            with torch.device("meta"):
                model = UMT5EncoderModel(self.config)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self.folder / 'config.json'} describes an encoder that cannot be built: {error}"
            ) from None
        weights = read_weights(self.folder, WEIGHTS)
        if ITS_COPY in weights:
            weights.setdefault(EMBEDDING, weights.pop(ITS_COPY))
        expected = {name: tensor for name, tensor in model.state_dict().items() if name != ITS_COPY}
        check_tensors(expected, weights, self.folder / WEIGHTS)
        return model, weights


class WanTextEncoder:
    """Prompts as UMT5 embeds them. The last few are remembered, and cost nothing when they come again.

    keep  where the weights are between prompts, and where the work is done:
          device  on the device
          move    on the CPU; copied to the device for a new prompt
          cpu     on the CPU, and the work is done there
          free    nowhere: read from disk to the device for a new prompt, then freed
    rows  tokens of a prompt, the end token included; longer prompts are cut. Wan's transformers were trained with 512.
    """

    vocabulary = ()

    def __init__(
        self, stored: StoredUMT5, tokenizer: Tokenizer, device: torch.device, *, keep: Keep = "device", rows: int = ROWS
    ) -> None:
        if keep not in get_args(Keep):
            raise ValueError(f"keep must be one of {', '.join(get_args(Keep))}, not {keep!r}")
        self.keep, self.rows = keep, rows
        self._stored, self._tokenizer = stored, tokenizer
        self._device = torch.device("cpu") if keep == "cpu" else device
        home = torch.device("cpu") if keep == "move" else self._device
        self._model = None if keep == "free" else stored.load(home)
        self._remembered: dict[str, Tensor] = {}
        self._lock = threading.Lock()

    @property
    def text_dim(self) -> int:
        """Numbers in a row, as the transformer's `text_dim` must be."""
        return self._stored.config.d_model

    @property
    def parameters(self) -> int:
        """Numbers in the encoder's weights, wherever they are."""
        return self._stored.parameters

    def tokens(self, prompt: str) -> int:
        """Tokens that the whole prompt takes, the end token included; what is beyond `rows` is not read."""
        return len(self._tokenizer.encode(clean(prompt)).ids)

    def unknown_words(self, prompt: str) -> list[str]:
        """None: what UMT5 has no word for, it spells."""
        return []

    def unread(self, prompt: str) -> str:
        """The end of a cleaned prompt whose tokens have no row left; empty where all are read."""
        text = clean(prompt)
        encoded = self._tokenizer.encode(text)
        return text[encoded.offsets[self.rows - 1][0] :] if len(encoded.ids) > self.rows else ""

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Tensor:
        """Embeddings [B, rows, text_dim]: a row a token, then rows of zeros, which Wan attends to as well.

        Raises ModelError when weights that were freed cannot be read again.
        """
        texts = [clean(prompt) for prompt in prompts]
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._remembered]
            known = self._remembered | (dict(zip(new, self._embedded(new), strict=True)) if new else {})
            latest = [*(text for text in known if text not in texts), *dict.fromkeys(texts)][-REMEMBERED:]
            self._remembered = {text: known[text] for text in latest}
            if new and self.keep in ("move", "free") and self._device.type == "cuda":
                torch.cuda.empty_cache()  # so that what was freed shows as free
        embedded = [known[text] for text in texts]
        return torch.stack([torch.cat([e, e.new_zeros(self.rows - len(e), self.text_dim)]) for e in embedded])

    def _embedded(self, texts: list[str]) -> list[Tensor]:
        """[tokens, text_dim] for each text. On the way out the device is left as `keep` says, also after an error."""
        model = self._stored.load(self._device) if self._model is None else self._model
        home = [parameter.data for parameter in model.parameters()]
        try:
            model.to(self._device)
            return [self._embed(model, text) for text in texts]
        finally:
            for parameter, data in zip(model.parameters(), home, strict=True):
                parameter.data = data

    def _embed(self, model: UMT5EncoderModel, text: str) -> Tensor:
        """One prompt, without padding: masked padding would change nothing, and take most of the time."""
        ids = self._tokenizer.encode(text).ids
        if len(ids) > self.rows:
            ids = [*ids[: self.rows - 1], ids[-1]]
        return model(torch.tensor([ids], device=self._device)).last_hidden_state[0]


def load_text_encoder(
    folder: Path, device: torch.device, dtype: torch.dtype, *, keep: Keep = "device", rows: int = ROWS
) -> WanTextEncoder:
    """UMT5 from a folder that holds `text_encoder` and `tokenizer`, as diffusers' Wan repositories do.

    Raises ModelError that names the file and what is wrong with it, before any weights are loaded.
    """
    config = _load_config(folder / "text_encoder")
    tokenizer = _load_tokenizer(folder / "tokenizer" / "tokenizer.json", config)
    return WanTextEncoder(StoredUMT5(folder / "text_encoder", config, dtype), tokenizer, device, keep=keep, rows=rows)


def _load_config(folder: Path) -> UMT5Config:
    values = read_config(folder, "model_type", "umt5")
    try:
        return UMT5Config.from_dict(values)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} does not describe an encoder: {error}") from None


def _load_tokenizer(path: Path, config: UMT5Config) -> Tokenizer:
    """The tokenizer just as its file describes it.

    transformers 5 would rebuild it as a T5Tokenizer and lose the fallback to bytes, by which UMT5 reads rare letters.
    """
    if not path.is_file():
        raise ModelError(f"{path} is missing: expected UMT5's tokenizer in the format of the tokenizers library")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower class
        raise ModelError(f"{path} is damaged or not a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if tokenizer.get_vocab_size() > config.vocab_size:
        raise ModelError(
            f"{path} is of another model: it has {tokenizer.get_vocab_size()} tokens, the encoder {config.vocab_size}"
        )
    if tokenizer.encode("").ids[-1:] != [config.eos_token_id]:
        raise ModelError(f"{path} is of another model: it does not end a prompt with token {config.eos_token_id}")
    return tokenizer
