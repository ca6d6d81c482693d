"""A program's way in: endpoints with names, for `gradio_client` and plain HTTP. They wait in line as pages do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from inspect import getdoc

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepforcing import (
    POLICIES,
    SWITCHES,
    Pipeline,
    PromptError,
    SettingsError,
    Timeline,
    choices_of,
    make_policy,
    settings_of,
)

from ..look.told import refusal
from ..runs.files import Files
from ..runs.run import VideoOrder
from ..settings.form import LARGEST_SEED, setting_names
from .sessions import Sessions

MOST_SECONDS = 600  # of a video that a program asks for
ENDPOINTS = ("generate", "stream", "policies", "model")


class Asked(BaseModel):
    """What a program asks for. prompt: text, or [second, prompt] pairs of which the first is at 0."""

    model_config = ConfigDict(strict=True, extra="forbid")

    prompt: str | list[tuple[float, str]]
    seconds: float = Field(gt=0, le=MOST_SECONDS, allow_inf_nan=False)
    seed: int = Field(ge=0, le=LARGEST_SEED)
    policy: str
    settings: dict[str, int | float | str]
    switch: str

    def order(self, pipeline: Pipeline) -> VideoOrder:
        """Raises PromptError or SettingsError for what cannot work."""
        if self.policy not in POLICIES:
            raise SettingsError(f"unknown policy {self.policy[:40]!r}; there are {', '.join(POLICIES)}")
        if unknown := sorted(set(self.settings) - set(setting_names(self.policy))):
            raise SettingsError(f"{self.policy} has no setting {unknown[0][:40]!r}")
        if self.switch not in SWITCHES:
            raise SettingsError(f"switch must be one of {', '.join(SWITCHES)}, not {self.switch[:40]!r}")
        policy = make_policy(self.policy, **self.settings)
        policy.check(pipeline.geometry)
        frames = max(1, round(self.seconds * pipeline.shape.fps))
        prompt = self.prompt if isinstance(self.prompt, str) else Timeline(tuple(self.prompt))
        return VideoOrder(prompt, self.seed, policy, frames, self.switch)


class Programs:
    """The endpoints of one page, made inside its gr.Blocks. model: the model and its runs, None while it loads."""

    def __init__(self, model: Callable[[], tuple[Pipeline | None, Sessions | None]], concurrency_limit: int) -> None:
        self._model = model
        for name in ENDPOINTS:
            described = getdoc(getattr(self, name))
            gr.api(getattr(self, name), api_name=name, api_description=described, concurrency_limit=concurrency_limit)

    def generate(
        self,
        prompt: str | list,
        seconds: float = 10.0,
        seed: int = 0,
        policy: str = "deep-forcing",
        settings: dict | None = None,
        switch: str = "keep",
    ) -> Iterator[dict]:
        """Make a video. While it is made, each result tells how far it is: {"frames", "of"}, or {"waiting": place in
        line}; the last has the files, too: {"video": MP4, "trace": a run to open on the page}.

        prompt: a text, or [second, prompt] pairs, the first at 0. settings: of the policy, by name, see /policies.
        """
        order, files, made = self._order(prompt, seconds, seed, policy, settings, switch), Files(), 0
        for message, files in self._play(order):
            if message["kind"] == "waiting":
                yield {"waiting": message["ahead"]}
            elif message["kind"] == "chunk":
                made += len(message["frames"])
                yield {"frames": made, "of": order.num_frames}
            elif message["kind"] == "ended":
                yield {"frames": made, "of": order.num_frames, "video": _file(files.video), "trace": _file(files.trace)}

    def stream(
        self,
        prompt: str | list,
        seconds: float = 10.0,
        seed: int = 0,
        policy: str = "deep-forcing",
        settings: dict | None = None,
        switch: str = "keep",
    ) -> Iterator[dict]:
        """Frames as they are made, a chunk a result: {"first": its first frame's number, "prompt", "mime", "frames":
        pictures in base64}, or {"waiting": place in line}. Asked for as /generate is."""
        for message, _ in self._play(self._order(prompt, seconds, seed, policy, settings, switch)):
            if message["kind"] == "waiting":
                yield {"waiting": message["ahead"]}
            elif message["kind"] == "chunk":
                yield {name: message[name] for name in ("first", "prompt", "mime", "frames")}

    def policies(self) -> list:
        """What can decide which tokens stay: [{"name", "settings": {name: default}, "choices": {name: words}}]."""
        return [
            {
                "name": name,
                "settings": settings_of(make_policy(name)),
                "choices": {
                    setting: list(words) for setting in setting_names(name) if (words := choices_of(kind, setting))
                },
            }
            for name, kind in POLICIES.items()
        ]

    def model(self) -> dict:
        """What makes the videos: {"name", "weights": fingerprint, "fps", "width", "height", "device", "attention",
        "runs": how many there are now}."""
        pipeline, sessions = self._loaded()
        shape = pipeline.shape
        return {
            "name": pipeline.name,
            "weights": pipeline.weights,
            "fps": shape.fps,
            "width": shape.width,
            "height": shape.height,
            "device": str(pipeline.denoiser.device),
            "attention": pipeline.attention,
            "runs": sessions.active,
        }

    def _loaded(self) -> tuple[Pipeline, Sessions]:
        pipeline, sessions = self._model()
        if pipeline is None:
            raise refusal("The model is not loaded yet: open the page to see how far it is, and ask again.")
        return pipeline, sessions

    def _order(self, prompt, seconds, seed, policy, settings, switch) -> VideoOrder:
        pipeline, _ = self._loaded()
        try:
            if isinstance(prompt, list):
                prompt = [tuple(pair) if isinstance(pair, list) else pair for pair in prompt]
            asked = Asked(
                prompt=prompt, seconds=seconds, seed=seed, policy=policy, settings=settings or {}, switch=switch
            )
            order = asked.order(pipeline)
            order.stream(pipeline)  # never started: it refuses here what would be refused at its turn
        except ValidationError as error:
            first = error.errors()[0]
            raise refusal(f"{first['loc'][0]}: {first['msg'][0].lower()}{first['msg'][1:]}") from None
        except (PromptError, SettingsError) as error:
            raise refusal(str(error)) from None
        return order

    def _play(self, order: VideoOrder) -> Iterator[tuple[dict, Files]]:
        """Raises gr.Error where the run ends in an error."""
        _, sessions = self._loaded()
        session = f"program-{uuid.uuid4().hex}"
        try:
            for message, files in sessions.play(session, order, hurry=True):
                if message["kind"] == "ended" and message["reason"] != "finished":
                    raise refusal(message["error"] or message["note"] or "The run was stopped.")
                yield message, files
        finally:
            sessions.close(session)


def _file(path) -> dict | None:
    return None if path is None else gr.FileData(path=str(path), orig_name=path.name).model_dump()
