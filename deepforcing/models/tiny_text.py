"""The tiny model's text encoder: a word-level transformer, trained along with the video model, that takes any text."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepforcing.captions import content_words, known_words, words


@dataclass(frozen=True)
class TinyTextConfig:
    """Sizes of the encoder, and the words that it knows; rows are counted with padding."""

    width: int = 128
    layers: int = 2
    heads: int = 4
    rows: int = 24
    vocabulary: tuple[str, ...] = field(default_factory=known_words)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))  # JSON gives a list
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads")


class Layer(nn.Module):
    """Pre-norm self-attention over the words of one prompt, then a feed-forward part."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.to_qkv, self.to_out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        """x [B, rows, width]; visible [B, 1, 1, rows] is True for rows that may be attended to."""
        q, k, v = self.to_qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible)
        x = x + self.to_out(mixed.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.widen(self.norm2(x))))


class TinyTextEncoder(nn.Module):
    """Prompts -> rows [B, rows, width]: one row a known word, zeros after the last; the empty prompt is all zeros.

    The zero rows take part in cross-attention, as Wan's padding does.
    """

    def __init__(self, config: TinyTextConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TinyTextConfig()
        self.index = {word: i for i, word in enumerate(config.vocabulary)}
        self.word = nn.Embedding(len(config.vocabulary), config.width)
        self.place = nn.Embedding(config.rows, config.width)
        self.layers = nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self.config.vocabulary

    def tokenize(self, prompt: str) -> list[int]:
        """Indices of the known words, in order, at most `rows`; unknown words are left out."""
        known = (self.index.get(self._form(word)) for word in words(prompt))
        return [index for index in known if index is not None][: self.config.rows]

    def unknown_words(self, prompt: str) -> list[str]:
        """Content words that the model never saw, in order, each once; function words are not reported."""
        return [word for word in content_words(prompt) if self._form(word) not in self.index]

    def unread(self, prompt: str) -> str:
        """The words from the first known one on that has no row left; empty where all are read."""
        found, rows = words(prompt), self.config.rows
        known = [place for place, word in enumerate(found) if self._form(word) in self.index]
        return " ".join(found[known[rows] :]) if len(known) > rows else ""

    def encode(self, prompts: list[str]) -> Tensor:
        """Embeddings of the prompts, [B, rows, width]."""
        device, rows = self.word.weight.device, self.config.rows
        tokens = torch.zeros(len(prompts), rows, dtype=torch.long)
        length = torch.zeros(len(prompts), 1, dtype=torch.long)
        for line, prompt in enumerate(prompts):
            found = self.tokenize(prompt)
            tokens[line, : len(found)] = torch.tensor(found, dtype=torch.long)
            length[line] = len(found)
        return self(tokens.to(device), (torch.arange(rows) < length).to(device))

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """tokens [B, rows] and which of them are words -> [B, rows, width]."""
        x = self.word(tokens) + self.place.weight
        visible = present.clone()
        visible[:, 0] = True  # an empty prompt attends to something, and is zeroed below
        for layer in self.layers:
            x = layer(x, visible[:, None, None])
        return self.norm(x) * present[..., None]

    def _form(self, word: str) -> str:
        """The word as the vocabulary has it: a plural is read as its singular."""
        singular = word[:-1] if word.endswith("s") else word
        return singular if word not in self.index and singular in self.index else word
