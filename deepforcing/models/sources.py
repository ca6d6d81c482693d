"""Published models: what each is made of, who publishes it, under which licence, and how it wants to be run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..config import Sampling, SettingsError, VideoShape


@dataclass(frozen=True)
class Part:
    """One part of a published model.

    name           how the code calls it; `where` is the file or folder that its loader opens
    repo           "owner/name" on the hub
    files          names or patterns of what the loader needs; the first is a plain name, each matches at least one file
    also           fetched where the repository has them, but not needed
    instead        other places in a folder of one's own, tried in order: a file, or a diffusers folder
    bytes          approximate size
    licence_note   what else is known about the licence, for the reader
    optional       fetched only when asked for by name
    """

    name: str
    repo: str
    where: str
    files: tuple[str, ...]
    bytes: int
    licence: str
    licence_url: str
    non_commercial: bool = False
    licence_note: str = ""
    also: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    optional: bool = False


_WAN_SAMPLING = Sampling(steps=(1000, 750, 500, 250), shift=5.0, prediction="flow")
_WAN_SHAPE = VideoShape(height=480, width=832, fps=16, space=8)


@dataclass(frozen=True)
class Source:
    """A published model.

    size: of SHAPES. window, sink: what it was trained with, in latent frames; the window includes the chunk in flight.
    """

    name: str
    title: str
    parts: tuple[Part, ...]
    window: int
    sink: int
    size: str = "self-forcing"
    sampling: Sampling = _WAN_SAMPLING
    shape: VideoShape = _WAN_SHAPE
    chunk_frames: int = 3

    def choose(self, names: Collection[str] | None = None) -> tuple[Part, ...]:
        """The parts of these names, or all that are not optional. SettingsError names the first unknown one."""
        if names is None:
            return tuple(part for part in self.parts if not part.optional)
        known = {part.name for part in self.parts}
        if unknown := [name for name in names if name not in known]:
            raise SettingsError(f"{self.title} has no part {unknown[0]!r}: expected some of {', '.join(sorted(known))}")
        return tuple(part for part in self.parts if part.name in names)


def readable(size: int) -> str:
    """Bytes for a person: 22.7 GB, 508 MB, 62 kB."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit or name == "GB" else f"{size / unit:.0f} {name}"
    return f"{size} B"


_APACHE: dict[str, Any] = {"licence": "Apache-2.0", "licence_url": "https://www.apache.org/licenses/LICENSE-2.0"}
_BY_NC_SA: dict[str, Any] = {
    "licence": "CC BY-NC-SA 4.0",
    "licence_url": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "non_commercial": True,
}
_MIT: dict[str, Any] = {"licence": "MIT", "licence_url": "https://opensource.org/license/mit"}

_WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
_WAN_PARTS = (
    Part(
        "vae",
        _WAN,
        where="vae",
        files=("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
        bytes=507_592_616,
        **_APACHE,
    ),
    Part(
        "text_encoder",
        _WAN,
        where="text_encoder",
        files=("text_encoder/config.json", "text_encoder/model*.safetensors"),
        also=("text_encoder/model.safetensors.index.json",),
        bytes=22_723_695_074,  # float32
        **_APACHE,
    ),
    Part(
        "tokenizer",
        _WAN,
        where="tokenizer",
        files=("tokenizer/tokenizer_config.json", "tokenizer/tokenizer.json"),
        also=("tokenizer/special_tokens_map.json", "tokenizer/spiece.model"),
        bytes=21_454_609,
        **_APACHE,
    ),
)
_SMALL_DECODER = Part(
    "taehv",
    "Kijai/WanVideo_comfy",  # a copy in safetensors of the .pth in the author's code repository, madebyollin/taehv
    where="taew2_1.safetensors",
    files=("taew2_1.safetensors",),
    instead=("taew2_1.pth",),
    bytes=22_700_000,
    licence_note="by Ollin Boer Bohan; the hub repository is a copy",
    optional=True,
    **_MIT,
)

SELF_FORCING = Source(
    "self-forcing",
    "Self Forcing 1.3B",
    parts=(
        *_WAN_PARTS,
        Part(
            "transformer",
            "gdhe17/Self-Forcing",
            where="checkpoints/self_forcing_dmd.pt",
            files=("checkpoints/self_forcing_dmd.pt",),
            instead=("self_forcing_dmd.pt", "transformer"),
            bytes=5_680_000_000,
            licence_note="the code is Apache-2.0, and others report that the weights became so too; "
            "their model card says CC BY-NC-SA 4.0",
            **_BY_NC_SA,
        ),
        _SMALL_DECODER,
    ),
    window=21,
    sink=0,
)

LONGLIVE = Source(
    "longlive",
    "LongLive 1.3B",
    parts=(
        *_WAN_PARTS,
        Part(
            "transformer",
            "Efficient-Large-Model/LongLive-1.3B",
            where="models/longlive_base.pt",
            files=("models/longlive_base.pt",),
            instead=("longlive_base.pt", "transformer"),
            bytes=5_676_334_208,
            licence_note="the code and, its authors wrote in November 2025, the project became Apache-2.0; "
            "the model card still says CC BY-NC-SA 4.0",
            **_BY_NC_SA,
        ),
        Part(
            "lora",
            "Efficient-Large-Model/LongLive-1.3B",
            where="models/lora.pt",
            files=("models/lora.pt",),
            instead=("lora.pt",),
            bytes=2_800_056_690,
            licence_note="as the transformer",
            **_BY_NC_SA,
        ),
        _SMALL_DECODER,
    ),
    window=12,
    sink=3,
)

SOURCES: dict[str, Source] = {source.name: source for source in (SELF_FORCING, LONGLIVE)}
