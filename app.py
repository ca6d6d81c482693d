"""Deep Forcing in the browser: `python app.py`, then open the address that it prints."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads that spin would take the processor from the server

from deepforcing import AttentionSink, DeepForcing, ModelError, Pipeline, Policy, SettingsError, load_pipeline
from deepforcing.memory import Plan, describe, fit, forecast, room, sizes_of
from deepforcing.models.components import best_device, fastest_dtype
from deepforcing.models.fetch import Progress, fetch, present
from deepforcing.models.released import Loading
from deepforcing.models.sources import SOURCES, Part, Source, readable
from deepforcing.models.tiny_codec import CodecConfig
from ui.app import App
from ui.loading import Loader, Offer, Report, TerminalLines
from ui.spaces import on_zero_gpu

FIVE_SECONDS = 21  # latent frames, the window that Deep Forcing's settings are made for
WAN_1_3B = {"num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960, "num_layers": 30}
SMALL_DECODER = CodecConfig(
    latent_channels=16,
    patch_size=1,
    encoder_widths=(),
    encoder_blocks=(),
    decoder_widths=(256, 128, 64, 64),
    decoder_blocks=(3, 3, 3),
    decoder_spatial=(True, True, True),
    signed=False,
)


def read_arguments(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ):
    """What the command line asks for. A Space, which has none, asks by variables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model",
        default=environment.get("DEEPFORCING_MODEL", "tiny"),
        help=f"'tiny', the embedded model (default); {', '.join(SOURCES)}: fetched at the first start; or a path",
    )
    parser.add_argument("--decoder", choices=("full", "small"), default="full", help="small: faster, a little softer")
    parser.add_argument(
        "--text", choices=("device", "move", "cpu", "free"), default="device", help="text encoder's place"
    )
    parser.add_argument(
        "--weights", choices=("resident", "fp8", "offload"), default="resident", help="the transformer's"
    )
    parser.add_argument("--size", metavar="HEIGHTxWIDTH", help="pixels of the video, such as 320x576")
    parser.add_argument("--compile", action="store_true", help="slow first chunks, faster ones later")
    parser.add_argument(
        "--accept-licence",
        action="store_true",
        default=environment.get("DEEPFORCING_ACCEPT_LICENCE", "") == "1",
        help="agree to the licences, also non-commercial ones, and fetch without asking",
    )
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 when not given")
    parser.add_argument("--share", action="store_true", help="make a public link")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Load, build, serve. 0 after a normal end; 2, with one readable line, for a model that cannot be used."""
    asked = read_arguments(arguments)
    try:
        app = open_app(asked)
    except (ModelError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    app.launch(server_name=asked.host, server_port=asked.port, share=asked.share, inbrowser=asked.open)
    return 0


def open_app(asked: argparse.Namespace) -> App:
    """The app over a model that is here, or that the page offers to fetch. Raises ModelError and SettingsError."""
    loading = loading_of(asked)
    if asked.model not in SOURCES:
        return App(load_pipeline(asked.model, loading=loading))
    source, policy = SOURCES[asked.model], policy_of(SOURCES[asked.model])
    if on_zero_gpu():  # what a worker is to have must be there before the launch
        return App(prepare(source, loading, asked.accept_licence, TerminalLines()), policy)
    offer = make_offer(source, loading, policy, asked.accept_licence)
    print(
        offer.text, "" if not offer.asks else "Go on in the page, or start with --accept-licence.", sep="\n", flush=True
    )
    return App(Loader(lambda report: prepare(source, loading, True, report), offer, TerminalLines()), policy)


def loading_of(asked: argparse.Namespace) -> Loading:
    """Raises SettingsError for a size that is none."""
    height, width = None, None
    if asked.size is not None:
        sides = asked.size.lower().split("x")
        if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
            raise SettingsError(f"--size must be HEIGHTxWIDTH, such as 480x832, not {asked.size!r}")
        height, width = map(int, sides)
    compiled = asked.compile and not on_zero_gpu()  # a worker there is too short-lived to compile
    return Loading(asked.decoder, asked.text, asked.weights, height, width, compiled)


def policy_of(source: Source) -> Policy:
    """What the page opens with: Deep Forcing where the model has its window, else what the model was trained with."""
    return DeepForcing() if source.window == FIVE_SECONDS else AttentionSink(window=source.window, sink=source.sink)


def make_offer(source: Source, loading: Loading, policy: Policy, agreed: bool) -> Offer:
    """What is told before anything is fetched; whether it must be agreed to."""
    parts = source.choose(loading.parts(source))
    here = present(source, parts=loading.parts(source))
    missing = [part for part in parts if part.name not in here]
    bound = [part.name for part in missing if part.non_commercial]
    text = f"## {source.title}\n\n{_parts_table(parts, missing)}\n\n{memory_text(source, loading, policy)}"
    consent = f"I use its {', '.join(bound)} for non-commercial purposes only, as the licence asks." if bound else None
    return Offer(text, None if agreed else consent, asks=bool(missing) and not agreed)


def _parts_table(parts: tuple[Part, ...], missing: list[Part]) -> str:
    rows = [
        f"| {part.name} | {part.repo} | {readable(part.bytes) if part in missing else 'is here'} "
        f"| [{part.licence}]({part.licence_url}){' **non-commercial**' if part.non_commercial else ''} |"
        for part in parts
    ]
    notes = [f"{part.name}: {part.licence_note}." for part in parts if part.licence_note]
    total = readable(sum(part.bytes for part in missing)) if missing else "nothing"
    head = f"To fetch: **{total}**.\n\n| part | from | size | licence |\n|---|---|---|---|"
    return "\n".join([head, *rows, "", *notes])


def memory_text(source: Source, loading: Loading, policy: Policy) -> str:
    """Markdown: what running it takes, what is free, and the nearest settings that would fit where it does not."""
    device = best_device()
    text = next(part for part in source.parts if part.name == "text_encoder")
    sizes = sizes_of(WAN_1_3B, {"full": {}, "small": SMALL_DECODER})
    sizes = replace(sizes, text_parameters=text.bytes // 4)  # published in float32
    height, width = loading.height or source.shape.height, loading.width or source.shape.width
    plan = Plan(height, width, policy, loading.weights, loading.text, loading.decoder, fastest_dtype(device))
    needs, free = forecast(sizes, plan, device), room(device)
    lines = [f"Memory, for {width} × {height} and a window of {policy.window} latent frames:"]
    lines += ["", "```", describe(needs, free), "```", ""]
    if device.type == "cpu":
        lines.append("**No GPU was found**: on a processor a second of video takes many minutes.")
    if not free.holds(needs):
        options = [", ".join(found.changes) for found in fit(sizes, plan, free, device)[:3]]
        nearest = (
            f"It would with: {'; or '.join(options)}." if options else "Nothing that can be set would change that."
        )
        lines.append(f"**This does not fit into what is free.** {nearest}")
    return "\n".join(lines)


def prepare(source: Source, loading: Loading, agreed: bool, report: Report) -> Pipeline:
    """Fetch what is missing, then load. Raises ModelError and SettingsError."""

    def tell(step: Progress) -> None:
        report(f"{step.part}: {step.file}", step.file_done_bytes, step.file_total_bytes)

    fetch(source, parts=loading.parts(source), accept_non_commercial=agreed, progress=tell)
    report("Loading the weights", 0, 0)
    return load_pipeline(source.name, loading=loading)


if __name__ == "__main__":
    sys.exit(main())
