"""What a published model needs, in words for the page and the terminal; and getting it ready while they look on."""

from __future__ import annotations

from deepforcing import Loading, Needs, Pipeline, Progress, Source, describe, get_ready, readable

from .loading import Offer, Report


def offer_of(needs: Needs, agreed: bool) -> Offer:
    """What is told before anything is fetched; whether it must be agreed to."""
    text = f"## {needs.source.title}\n\n{_parts_table(needs)}\n\n{_memory_text(needs)}"
    bound = ", ".join(part.name for part in needs.bound)
    consent = f"I use its {bound} for non-commercial purposes only, as the licence asks." if bound else None
    return Offer(text, None if agreed else consent, asks=bool(needs.missing) and not agreed)


def prepare(source: Source, loading: Loading, agreed: bool, report: Report) -> Pipeline:
    """Fetch what is missing, then load. Raises ModelError and SettingsError."""

    def tell(step: Progress) -> None:
        report(f"{step.part}: {step.file}", step.file_done_bytes, step.file_total_bytes)

    def loads() -> None:
        report("Loading the weights", 0, 0)

    return get_ready(source, loading, accept_non_commercial=agreed, progress=tell, loads=loads)


def _parts_table(needs: Needs) -> str:
    rows = [
        f"| {part.name} | {part.repo} | {readable(part.bytes) if part in needs.missing else 'is here'} "
        f"| [{part.licence}]({part.licence_url}){' **non-commercial**' if part.non_commercial else ''} |"
        for part in needs.parts
    ]
    notes = [f"{part.name}: {part.licence_note}." for part in needs.parts if part.licence_note]
    total = readable(needs.bytes) if needs.missing else "nothing"
    head = f"To fetch: **{total}**.\n\n| part | from | size | licence |\n|---|---|---|---|"
    return "\n".join([head, *rows, "", *notes])


def _memory_text(needs: Needs) -> str:
    """What running it takes, what is free, and the nearest settings that would fit where it does not."""
    plan = needs.plan
    lines = [f"Memory, for {plan.width} × {plan.height} and a window of {plan.policy.window} latent frames:"]
    lines += ["", "```", describe(needs.takes, needs.free), "```", ""]
    if needs.device.type == "cpu":
        lines.append("**No GPU was found**: on a processor a second of video takes many minutes.")
    if not needs.fits:
        options = "; or ".join(", ".join(found.changes) for found in needs.nearest[:3])
        nearest = f"It would with: {options}." if options else "Nothing that can be set would change that."
        lines.append(f"**This does not fit into what is free.** {nearest}")
    return "\n".join(lines)
