"""What a model needs, in words for the page and the terminal; and getting it ready while they look on."""

from __future__ import annotations

from pathlib import Path

from deepforcing import Loading, Needs, Pipeline, Progress, describe, get_ready, readable

from .loader import Offer, Report


def offer_of(needs: Needs, agreed: bool) -> Offer:
    """What is told before anything is fetched or loaded; whether it must be agreed to."""
    found = needs.found
    like = f"\n\nIt runs as {found.source.title} does." if found.own else ""
    text = f"## {found.title}{like}\n\n{_parts_table(needs)}\n\n{_memory_text(needs)}"
    bound = ", ".join(part.name for part in needs.bound)
    consent = f"I use its {bound} for non-commercial purposes only, as the licence asks." if bound else None
    waits = bool(needs.missing) or not needs.fits
    action = "Fetch and load" if needs.missing else "Load"
    return Offer(text, None if agreed else consent, asks=waits and not agreed, action=action)


def prepare(model: str | Path, loading: Loading, agreed: bool, report: Report) -> Pipeline:
    """Fetch what is missing, then load. Raises ModelError and SettingsError."""

    def tell(step: Progress) -> None:
        report(f"{step.part}: {step.file}", step.file_done_bytes, step.file_total_bytes)

    def loads() -> None:
        report("Loading the weights", 0, 0)

    return get_ready(model, loading, accept_non_commercial=agreed, progress=tell, loads=loads)


def _parts_table(needs: Needs) -> str:
    own = needs.found.own
    rows = [
        f"| {part.name} | `{own[part.name]}` | is here | its own |"
        if part.name in own
        else f"| {part.name} | {part.repo} | {readable(part.bytes) if part in needs.missing else 'is here'} "
        f"| [{part.licence}]({part.licence_url}){' **non-commercial**' if part.non_commercial else ''} |"
        for part in needs.parts
    ]
    notes = [f"{part.name}: {part.licence_note}." for part in needs.parts if part.licence_note and part.name not in own]
    total = readable(needs.bytes) if needs.missing else "nothing"
    head = f"To fetch: **{total}**.\n\n| part | from | size | licence |\n|---|---|---|---|"
    return "\n".join([head, *rows, "", *notes])


def _memory_text(needs: Needs) -> str:
    """What running it takes, what is free, and the nearest settings that would fit where it does not."""
    plan = needs.plan
    lines = [f"Memory, for {plan.width} × {plan.height} and a window of {plan.policy.window} latent frames:"]
    lines += ["", "```", describe(needs.takes, needs.free), "```", ""]
    if needs.device.type == "cpu":
        lines.append("**It runs on the CPU**, where a second of a large model's video takes many minutes.")
    if not needs.fits:
        lines.append(f"**This does not fit into what is free.** {needs.advice}")
    return "\n".join(lines)
