"""The page without a model: recorded runs, with every panel. `python -m deepforcing replay run.trace`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import gradio as gr

from deepforcing import TraceError

from .lessons.lesson import LessonError
from .lessons.library import read_lessons
from .lessons.tab import TAB, LessonTab
from .look.header import TITLE, header
from .look.told import Blocks
from .page.address import head
from .page.launch import launch
from .player.player import player
from .recordings.library import Recordings
from .recordings.menu import MOST_AT_ONCE, RecordingsMenu


class ReplayApp:
    """A recordings of recorded runs behind a page; needs neither a model nor torch."""

    def __init__(self, recordings: Recordings, lessons: Path | None = None) -> None:
        """lessons: a folder with more of them. Raises LessonError where it is none."""
        self.blocks = Blocks(title=TITLE, fill_width=True, delete_cache=(3600, 3600))
        with self.blocks:
            head(header("recorded runs, no model"))
            with gr.Tabs(elem_id="views") as tabs:
                with gr.Tab("Watch") as watch, gr.Column(elem_id="replay"):
                    self.menu = RecordingsMenu(recordings)
                    note = gr.HTML(elem_id="note", apply_default_css=False)
                    wide = recordings.first is not None and _is_wide(recordings)
                    self.menu.wire(player(wide, "Open a trace, and it plays here."), note)
                with gr.Tab("Learn", id=TAB):
                    # A policy's settings cannot be checked without torch; here they are never used either.
                    self.learn = LessonTab(
                        read_lessons(recordings, lambda runner: None, lessons), recordings, live=False
                    )
            self.learn.wire(self.blocks, tabs, [watch], concurrency_limit=MOST_AT_ONCE)
            self.blocks.unload(self.leave)
        self.blocks.queue()

    def launch(self, **options):
        """As gr.Blocks.launch, with the page's look."""
        return launch(self.blocks, **options)

    def leave(self, request: gr.Request) -> None:
        """The tab was closed."""
        self.menu.viewings.leave(request.session_hash)
        self.learn.viewings.leave(request.session_hash)


def main(arguments: list[str] | None = None) -> int:
    """Serve. 0 after a normal end; 2, with one readable line, for a file, a folder or a port that is of no use."""
    parser = argparse.ArgumentParser(prog="deepforcing replay", description=__doc__)
    parser.add_argument("traces", nargs="*", type=Path, metavar="FILE", help="recorded runs; the first is opened")
    parser.add_argument("--lessons", type=Path, metavar="FOLDER", help="more lessons, as Markdown files")
    parser.add_argument("--host", default=None, help="address to listen on; 0.0.0.0 lets other machines in")
    parser.add_argument("--port", type=int, default=None, help="port; the first free one from 7860 when not given")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    asked = parser.parse_args(arguments)
    try:
        app = ReplayApp(Recordings.shipped(*asked.traces), asked.lessons)
        app.launch(server_name=asked.host, server_port=asked.port, inbrowser=asked.open)
    except (TraceError, LessonError, OSError) as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2
    return 0


def _is_wide(recordings: Recordings) -> bool:
    started = recordings.get(recordings.first).started
    return started.width > 1.3 * started.height
