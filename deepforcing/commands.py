"""The commands that need a model, see `__main__.py`. A refused request ends with status 2 and one line."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from . import __version__
from .attention_error import attention_error
from .begun import Begun
from .bench import Row, bench, bench_shape
from .config import SettingsError
from .evaluation.command import add_evaluate
from .events import Chunk, EndReason, SettingsChanged, StreamEnded
from .gauges import DriftMeter
from .going_on import NONE, Past
from .models.components import ModelError, device_for
from .models.fetch import LicenceError, Progress, fetch, present
from .models.found import find, unknown_model
from .models.lora_hub import is_hub_lora, lora_source
from .models.shapes import SHAPES, shape_named
from .models.sources import SOURCES, Part, Source, readable
from .models.tiny import is_tiny
from .needs import needs_of, own_policy
from .opening import LEAST_LIKENESS, check_start, likeness, opening_frames
from .options import add_loading, loading_from, read_lora
from .out_of_memory import explain_out_of_memory, is_out_of_memory
from .output import check_place
from .pipeline import Pipeline, generate_long_video, load_pipeline, past_from, started_event
from .policies import POLICIES, DeepForcing, Policy, make_policy, read_setting, settings_of
from .prompt import PromptError, as_text
from .prompt_options import add_prompts, check_seconds, check_words, prompt_metadata, timeline_from
from .race.command import add_race
from .timeline import Timeline
from .trace import TraceError, TraceWriter
from .video_file import VideoWriter, check_video_path

QUICK = 5  # chunks a competitor: with what is compiled, a GPU is done within three minutes
_REFUSED = (SettingsError, PromptError, ModelError, TraceError, OSError)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except _REFUSED as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="deepforcing", description="Long video by managing the KV cache.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_generate(commands.add_parser("generate", help="write a video of any length"))
    _add_bench(commands.add_parser("bench", help="measure speed and memory"))
    add_race(commands.add_parser("race", help="policies side by side on the same noise"), _load)
    add_evaluate(commands.add_parser("evaluate", help="compare policies over a minute, and report"))
    _add_fetch(commands.add_parser("fetch", help="download a published model"))
    commands.add_parser("serve", help="the page, with a model, for one viewer or many")  # run by __main__.py, as
    commands.add_parser("replay", help="show a recorded run in the browser; needs no model")  # this is
    return parser


def _add_generate(parser: argparse.ArgumentParser) -> None:
    add_prompts(parser)
    parser.set_defaults(run=_generate, switch=None)  # that of --from, or as told
    parser.add_argument("-o", "--output", default="out.mp4", help="MP4 file (default: %(default)s)")
    parser.add_argument("--trace", metavar="FILE", help="also record the run, with all that the page shows of it")
    parser.add_argument("--seconds", type=float, default=20.0, help="length (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="of the noise (default: 0, or that of --from)")
    parser.add_argument(
        "--from", dest="begun", type=Path, metavar="TRACE", help="go on with this run, with its settings unless told"
    )
    parser.add_argument("--after", metavar="TIME", help="of --from: where it goes on (default: at its end)")
    parser.add_argument("--start", type=Path, metavar="FILE", help="a picture, or an MP4, that the video begins with")
    add_loading(parser)
    parser.add_argument("--policy", help=f"{', '.join(POLICIES)} (default: the model's own)")
    parser.add_argument("--window", type=int, help="latent frames attended to, the chunk in flight included")
    parser.add_argument("--sink", type=int, help="first latent frames that are kept for ever")
    parser.add_argument("--budget", type=int, help="latent frames' worth of tokens left by compression")
    parser.add_argument("--recent", type=int, help="latest latent frames that compression leaves whole")
    parser.add_argument("--phase", help="released, contiguous or none: where in time the sink stands")
    parser.add_argument("--steps", type=int, help="denoising steps of a chunk (default: as many as the model has)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the policy")


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_bench)
    add_loading(parser)
    parser.add_argument("--chunks", type=int, default=40, help="chunks a competitor (default: %(default)s)")
    parser.add_argument("--latents", type=int, default=1000, help="length of the endurance run (default: %(default)s)")
    parser.add_argument("--shape", help=f"instead of a model, random weights of this shape: {', '.join(SHAPES)}")
    parser.add_argument(
        "--attention-error", action="store_true", help="instead: what attention in 8 bits would change in a minute"
    )
    parser.add_argument("--quick", action="store_true", help=f"of a shape: {QUICK} chunks each, as a Markdown table")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, help="of a shape (default: on CUDA only)")


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_fetch)
    parser.add_argument("model", help=f"{', '.join(SOURCES)}, or a LoRA, as owner/name/file.safetensors")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="where to put it (default: the hub's cache)")
    parser.add_argument("--parts", metavar="NAME,NAME", help="only these, such as vae,text_encoder,tokenizer")
    parser.add_argument("--small-decoder", action="store_true", help="also the small video decoder")
    parser.add_argument("--accept-licence", action="store_true", help="agree to the licences, also non-commercial ones")


def _asks_policy(options: argparse.Namespace) -> bool:
    names = ("policy", "window", "sink", "budget", "recent", "phase", "set")
    return any(getattr(options, name) not in (None, []) for name in names)


def _policy(options: argparse.Namespace) -> Policy:
    """The policy asked for, or the model's own, with the settings that are given."""
    names = ("window", "sink", "budget", "recent", "phase")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    for name, value in map(read_setting, options.set):
        if name in given:
            raise SettingsError(f"{name} is given twice")
        given[name] = value
    if options.policy is not None or is_tiny(options.model):
        return make_policy(options.policy or DeepForcing.name, **given)
    own = own_policy(options.model, loading_from(options))
    return make_policy(own.name, **settings_of(own) | given)


def _load(options: argparse.Namespace, policy: Policy) -> Pipeline:
    """Raises ModelError, before a weight is read, for a model without its GPU, not here, not whole, or too large."""
    loading = loading_from(options)
    if not is_tiny(options.model):
        needs = needs_of(options.model, loading, policy)
        find(options.model, loading)
        needs.check_memory()
        if needs.device.type == "cpu":
            print("note: on the CPU, a second of a large model's video takes many minutes", file=sys.stderr)
    return load_pipeline(options.model, loading=loading)


def _generate(options: argparse.Namespace) -> int:
    check_seconds(options.seconds)
    begun = Begun.of(options)
    timeline = begun.timeline(options) if begun else timeline_from(options)
    _check_files(options)
    options.seed = options.seed if options.seed is not None else begun.trace.started.seed if begun else 0
    policy = begun.policy if begun and not _asks_policy(options) else _policy(options)
    past = begun.past if begun else NONE
    past = past.keeping("scene", "steps") if _asks_policy(options) else past
    past = past if options.steps is None else past.without("steps")
    options.steps = begun.steps if begun and options.steps is None else options.steps
    options.switch = options.switch or (begun.switch if begun else "keep")
    options.stale_prompt = begun is not None and begun.trace.started.stale_prompt
    if options.start is not None and begun:
        raise SettingsError("--start and --from do not go together: a run starts from a picture, or goes on")
    if options.start is not None:
        check_start(options.start)
    pipeline = _load(options, policy)
    past = past_from(pipeline, options.start, past)
    frames = max(1, round(options.seconds * pipeline.shape.fps))
    chunks = generate_long_video(
        pipeline,
        timeline,
        num_frames=frames,
        policy=policy,
        seed=options.seed,
        switch=options.switch,
        probe=options.trace is not None,
        past=past,
        steps=options.steps,
        stale_prompt=options.stale_prompt,
    )
    check_words(pipeline.text, timeline, options)
    started = time.perf_counter()
    with _recording(options, pipeline, policy) as record:
        with VideoWriter(options.output, pipeline.shape, _metadata(pipeline, policy, timeline, options, past)) as video:
            with tqdm(total=frames, unit="frame") as bar:
                for chunk in _explained(chunks, policy, pipeline):
                    if isinstance(chunk, SettingsChanged):
                        record(chunk)
                        continue
                    if options.start is not None and chunk.index == 0:
                        _tell_likeness(options.start, pipeline, chunk)
                    video.write(chunk.frames)
                    record(chunk)  # a trace never holds more than its video
                    bar.update(len(chunk.frames))
    seconds = time.perf_counter() - started
    print(f"{options.output}: {frames} frames, {frames / pipeline.shape.fps:.1f} s of video in {seconds:.1f} s")
    return 0


def _tell_likeness(start: Path, pipeline: Pipeline, chunk: Chunk) -> None:
    """Where the model can make little of what the video starts from, on standard error."""
    given = opening_frames(start, pipeline.shape, pipeline.chunk_frames)[: len(chunk.frames)]
    if (alike := likeness(given, chunk.frames)) < LEAST_LIKENESS:
        print(
            f"note: this model keeps little of {start.name} ({alike:.0f} dB), it knows its own world: a frame of one "
            "of its videos starts better",
            file=sys.stderr,
        )


def _check_files(options: argparse.Namespace) -> None:
    """Raises OSError and SettingsError, before anything is loaded, for files that could not be written."""
    video = check_video_path(options.output)
    if options.trace is not None and check_place(options.trace).resolve() == video.resolve():
        raise SettingsError(f"the video and the trace cannot both be {options.output}")


def _explained(chunks: Iterator[Chunk], policy: Policy, pipeline: Pipeline) -> Iterator[Chunk]:
    """The chunks; a want of memory becomes a ModelError that says what to change."""
    try:
        yield from chunks
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(explain_out_of_memory(policy, pipeline.denoiser.device)) from None


@contextmanager
def _recording(options: argparse.Namespace, pipeline: Pipeline, policy: Policy) -> Iterator[Callable[[Chunk], None]]:
    """What takes the run's chunks. They and the video become a trace, where one was asked for, however the run ends."""
    if options.trace is None:
        yield lambda chunk: None
        return
    settings = options.seed, options.switch, options.stale_prompt, options.steps
    started = started_event(pipeline, options.prompt.strip(), policy, *settings)
    meter = DriftMeter.of(started)
    with TraceWriter(options.trace) as trace:
        trace.write(started)
        try:
            yield lambda event: trace.write(event, meter.add(event) if isinstance(event, Chunk) else None)
        except (OSError, TraceError):  # a file cannot be written, and so there is no video, or no trace
            raise
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            _finish(trace, options, "stopped" if stopped else "error", None if stopped else str(error))
            raise
        _finish(trace, options, "finished")


def _finish(trace: TraceWriter, options: argparse.Namespace, reason: EndReason, error: str | None = None) -> None:
    if trace.chunks:
        trace.write(StreamEnded(reason, trace.chunks, error))
        print(f"{trace.finish(options.output)}: {readable(Path(options.trace).stat().st_size)}")


def _metadata(
    pipeline: Pipeline, policy: Policy, timeline: Timeline, options: argparse.Namespace, past: Past
) -> dict[str, str]:
    settings = ", ".join(f"{name}={value}" for name, value in settings_of(policy).items())
    settings += "".join(f"; from {pipeline.starts(change.chunk):.2f} s: {change.words}" for change in past.changes)
    settings += "" if options.steps is None else f"; {options.steps} steps"
    made_by = f"model {pipeline.name} on {pipeline.device}; deepforcing {__version__}"
    made_by += "".join(f"; LoRA {as_text(file.name)} x {strength:g}" for file, strength in map(read_lora, options.lora))
    began = f"; started from {as_text(options.start.name)}" if options.start else ""
    comment = f"seed {options.seed}; {policy.name} ({settings}); {made_by}{began}"
    return {**prompt_metadata(timeline, options.switch), "comment": comment}


def _bench(options: argparse.Namespace) -> int:
    if options.quick and not options.shape:
        raise SettingsError("--quick is for a shape: add --shape self-forcing")
    if options.chunks < 2 or options.latents < 60:
        raise SettingsError("--chunks must be at least 2 and --latents at least 60")
    rows = _bench_shape(options) if options.shape else _bench_model(options)
    if options.quick:
        print("| what | measured |\n|---|---|")
    for row in rows:
        print(f"| {row.name} | {row.value} |" if options.quick else f"{row.name:57s} {row.value}", flush=True)
    return 0


def _bench_model(options: argparse.Namespace) -> Iterator[Row]:
    if options.attention_error:
        return attention_error(_load(options, DeepForcing()), progress=_bar)
    return bench(_load(options, DeepForcing()), options.chunks, options.latents, _bar)


def _bench_shape(options: argparse.Namespace) -> Iterator[Row]:
    shape_named(options.shape)
    device, name = device_for(loading_from(options).device), options.shape
    if device.type == "cpu" and name != "small":
        print(f"note: {name} is measured on CUDA, and this is the CPU: the shape 'small' instead", file=sys.stderr)
        name = "small"
    wanted = device.type == "cuda" if options.compile is None else options.compile
    chunks = QUICK if options.quick else options.chunks
    return bench_shape(name, device, chunks, "inductor" if wanted else None, _bar, options.graphs)


def _bar(items: Iterable) -> tqdm:
    return tqdm(items, leave=False, unit="chunk")


def _fetch(options: argparse.Namespace) -> int:
    if options.model not in SOURCES and not is_hub_lora(options.model):
        raise SettingsError(unknown_model(options.model, SOURCES, "a LoRA, as owner/name/file.safetensors"))
    source = SOURCES[options.model] if options.model in SOURCES else lora_source(options.model)
    names = [part.name for part in source.parts if options.small_decoder or not part.optional]
    names = options.parts.split(",") if options.parts else names
    parts = source.choose(names)
    missing = tuple(part for part in parts if part.name not in present(source, parts=names, folder=options.to))
    _print_parts(source, parts, missing)
    if not options.accept_licence:
        _ask_for_licences(source, missing)
    with tqdm(total=0, unit="B", unit_scale=True, disable=not missing) as bar:
        paths = fetch(
            source,
            parts=names,
            folder=options.to,
            accept_non_commercial=True,
            progress=lambda step: _show(bar, step),
        )
    for name, path in paths.items():
        print(f"{name:14s} {path}")
    return 0


def _print_parts(source: Source, parts: tuple[Part, ...], missing: tuple[Part, ...]) -> None:
    print(f"{source.title}: {readable(sum(part.bytes for part in missing))} to fetch")
    for part in parts:
        state = readable(part.bytes) if part in missing else "is here"
        print(f"{part.name:14s} {state:>8s}  {part.licence:16s} {part.repo}")
    for note in dict.fromkeys(f"{part.licence}: {part.licence_url}" for part in parts):
        print(note)
    for part in parts:
        if part.licence_note:
            print(f"{part.name}: {part.licence_note}")


def _ask_for_licences(source: Source, missing: tuple[Part, ...]) -> None:
    """LicenceError unless the person at the terminal agrees; where there is no person, at once."""
    bound = tuple(part for part in missing if part.non_commercial)
    if not bound:
        return
    question = f"{', '.join(part.name for part in bound)}: non-commercial use only. Do you agree? [y/N] "
    if not sys.stdin.isatty() or input(question).strip().lower() not in ("y", "yes"):
        raise LicenceError(source, bound)


def _show(bar: tqdm, step: Progress) -> None:
    if not bar.total:  # the first report: what an earlier attempt left behind is no speed of this one
        bar.reset(step.total_bytes)
        bar.initial = bar.n = step.done_bytes
    bar.set_description_str(f"{step.file} ({step.files_done}/{step.files_total})", refresh=False)
    bar.update(step.done_bytes - bar.n)
