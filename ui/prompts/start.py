"""What a video starts from: a picture or a clip, the frame on screen, or a drawing of the prompt; and what the model
makes of it, before it is used."""

from __future__ import annotations

import random
import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr
import numpy as np
from PIL import Image

from deepforcing import LEAST_LIKENESS, ModelError, Pipeline, SettingsError, likeness, opening_frames, render
from deepforcing.captions import caption_in

from ..look.notes import note, problem

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
ON_SCREEN = "() => document.querySelector('#player .df').player.picture()"
PICTURE = re.compile(r"data:image/(webp|jpeg);base64,([A-Za-z0-9+/=]{1,2000000})")
SHOWN = "Left: what it starts from. Right: as the model draws that."
LITTLE = (
    "The model keeps little of it ({:.0f} dB), since it knows its own world alone. A frame of one of its videos, or a "
    "drawing, starts better."
)
NOT_DRAWN = "Only what the small world has can be drawn: say a subject of it, such as a balloon or a boat."


class StartFrom:
    """Made inside gr.Blocks, where it is to be. `file` is what a run gets: a path, None for nothing."""

    def __init__(self, small: bool, badge: gr.Button) -> None:
        """small: the model has the world that can be drawn. badge: stands where it is seen while there is a start, and
        takes that away."""
        self._badge = badge
        with gr.Accordion("Start from a picture or a clip", open=False, elem_id="start-from"):
            with gr.Row():
                with gr.Column(min_width=260):
                    self._offer(small)
                with gr.Column(min_width=260):
                    self.view = gr.Image(
                        interactive=False, show_label=False, visible=False, buttons=[], height=170, elem_id="start-view"
                    )
                    self.note = gr.HTML(elem_id="start-note", apply_default_css=False)
            self._told = gr.Textbox(visible=False)  # what the script reads off the screen

    def _offer(self, small: bool) -> None:
        kinds = ["image", ".mp4"]
        self.file = gr.File(label="A picture, or an MP4", file_types=kinds, height=120, elem_id="start-file")
        with gr.Row():
            self.frame = gr.Button("The frame on screen", size="sm", elem_classes="chip", elem_id="start-frame")
            self.drawing = gr.Button(
                "A drawing of the prompt", size="sm", elem_classes="chip", visible=small, elem_id="start-drawing"
            )

    def wire(self, prompt: gr.Textbox, pipeline: Callable[[], Pipeline], see: bool = True) -> None:
        """pipeline: what is loaded by now. see: whether the model can be asked at once what it makes of a picture."""
        self._pipeline, self._see = pipeline, see
        self.file.change(self.look, self.file, [self.view, self.note, self._badge], **QUIET)
        self._badge.click(lambda: None, None, self.file, **QUIET)
        self.frame.click(self.take, self._told, [self.file, self.note], js=ON_SCREEN, **QUIET)
        self.drawing.click(self.draw, prompt, [self.file, self.note], **QUIET)

    def frames(self, path: str | None) -> np.ndarray | None:
        """What the run is to start from; None for nothing. Raises SettingsError, OSError as `opening_frames` does."""
        pipeline = self._pipeline()
        return None if path is None else opening_frames(path, pipeline.shape, pipeline.chunk_frames)

    def look(self, path: str | None) -> tuple:
        """The last frame that is given, and as the model draws it; what is to be known of that; the badge."""
        hidden, badge = gr.update(visible=False, value=None), gr.update(visible=path is not None)
        try:
            given = self.frames(path)
            if given is None:
                return hidden, "", badge
            drawn = self._pipeline().redrawn(given) if self._see else given
        except (SettingsError, ModelError, OSError) as error:
            return hidden, problem(error), badge
        both = np.hstack([given[-1], drawn[-1]]) if self._see else given[-1]
        alike = likeness(given, drawn)
        words = LITTLE.format(alike) if alike < LEAST_LIKENESS else SHOWN if self._see else ""
        return gr.update(visible=True, value=both), note(words, "hint") if words else "", badge

    def take(self, told: str) -> Iterator[tuple]:
        """The frame on screen, as the page's script tells it."""
        found = PICTURE.fullmatch(told or "")
        try:
            picture = b64decode(found[2], validate=True) if found else None
        except NoBase64:
            picture = None
        if picture is None:
            yield gr.skip(), note("There is no frame on the screen yet.", "hint")
            return
        with TemporaryDirectory(prefix="deepforcing-") as folder:  # lives until the page has it
            path = Path(folder) / f"frame.{found[1]}"
            path.write_bytes(picture)
            yield str(path), ""

    def draw(self, prompt: str) -> Iterator[tuple]:
        """The first frame of a clip as the small world's renderer draws it, another one each time."""
        caption = caption_in(prompt)
        if caption is None:
            yield gr.skip(), note(NOT_DRAWN, "hint")
            return
        with TemporaryDirectory(prefix="deepforcing-") as folder:
            path = Path(folder) / "drawing.png"
            drawn = render(caption, random.randrange(10_000), self._pipeline().shape.height, frames=1)
            Image.fromarray(drawn[0]).save(path)
            yield str(path), ""
