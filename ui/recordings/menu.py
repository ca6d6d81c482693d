"""Recorded runs on a page: those on the recordings by one click, any by upload, a moment of one by a link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr

from deepforcing import TraceError, read_trace

from ..look.notes import problem
from ..look.told import told
from ..player.messages import packet
from .library import Recordings, messages_of
from .links import LinkError, Moment, read_link
from .viewings import Opening, Viewings

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
MOST_AT_ONCE = 24  # sessions to which a recorded run is being sent


class RecordingsMenu:
    """Made inside gr.Blocks, where its row is to be; `wire` connects it to the player."""

    def __init__(self, recordings: Recordings) -> None:
        self.recordings, self.viewings = recordings, Viewings()
        self._interrupt: Callable[[str], None] = lambda session: None
        self._busy: Callable[[str], bool] = lambda session: False
        with gr.Row(elem_id="recordings"):
            self.label = gr.HTML("<p>Recorded runs</p>", elem_id="recordings-label", apply_default_css=False)
            self.chips = [
                (gr.Button(f"▶ {title}", size="sm", elem_classes="chip"), name)
                for name, title in recordings.titles.items()
            ]
            self.upload = gr.UploadButton(
                "Open a trace ...", file_types=[".trace"], size="sm", elem_id="open-trace", elem_classes="chip"
            )

    def wire(
        self,
        player: gr.HTML,
        note: gr.HTML,
        interrupt: Callable[[str], None] = lambda session: None,
        busy: Callable[[str], bool] = lambda session: False,
    ) -> None:
        """interrupt: ends what else a session has on the player; busy: whether it has anything."""
        self._interrupt, self._busy = interrupt, busy
        shown = [player, note]
        options = {"concurrency_limit": MOST_AT_ONCE, **QUIET}
        for button, name in self.chips:
            button.click(_opens(self, name), None, shown, **options)
        self.upload.upload(self.open_file, self.upload, shown, **options)
        player.arrive(self.arrive, None, shown, **options)
        # A page may confirm a part before the answer to its last confirmation has come: none of them may be dropped.
        player.confirm(self.confirm, queue=False, trigger_mode="multiple", **QUIET)

    def open_named(self, name: str, session: str) -> Iterator[tuple]:
        """One of the recordings, from its beginning."""
        yield from self._play(session, lambda: self._opening(Moment(name)))

    def open_file(self, path: str, request: gr.Request) -> Iterator[tuple]:
        """An uploaded one."""

        def opening() -> Opening:
            trace = read_trace(Path(path))
            return Opening(trace, messages_of(trace))

        yield from self._play(request.session_hash, opening)

    def arrive(self, event: gr.EventData, request: gr.Request) -> Iterator[tuple]:
        """A page was opened: at the moment that its link names, or with the first run of the recordings."""
        (search,), session = told(event, search=str), request.session_hash

        def opening() -> Opening | None:
            if self._busy(session) or self.viewings.opened(session):
                return None  # the player came late: what its viewer asked for meanwhile stays
            moment = read_link(search)
            if moment is not None:
                return self._opening(moment)
            first = self.recordings.first
            return None if first is None else replace(self._opening(Moment(first)), unasked=True)

        yield from self._play(session, opening)

    def confirm(self, event: gr.EventData, request: gr.Request) -> None:
        """The page has received a part."""
        self.viewings.confirm(request.session_hash, *told(event, run=str, seen=int))

    def _opening(self, moment: Moment) -> Opening:
        """Raises TraceError for an unknown name, LinkError for a moment that the run does not have."""
        trace = self.recordings.get(moment.trace)
        if moment.seconds is not None and moment.seconds > trace.seconds:
            raise LinkError(f"{moment.trace} ends at {trace.seconds:.1f} s, before {moment.seconds:.1f} s.")
        return Opening(trace, self.recordings.messages(moment.trace), moment, link=moment.trace)

    def _play(self, session: str, opening: Callable[[], Opening | None]) -> Iterator[tuple]:
        """Values for the player and the note."""
        try:
            asked = opening()
        except (TraceError, LinkError) as error:
            yield gr.skip(), problem(error)
            return
        if asked is None:
            yield gr.skip(), gr.skip()
            return
        self._interrupt(session)
        for part in self.viewings.play(session, asked):
            yield packet(part), ""


def _opens(menu: RecordingsMenu, name: str) -> Callable:
    def opens(request: gr.Request) -> Iterator[tuple]:
        yield from menu.open_named(name, request.session_hash)

    return opens
