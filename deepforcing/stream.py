"""A generation thread that can be steered: start, new prompt, pause, resume, stop."""

from __future__ import annotations

from collections.abc import Sequence

from .events import Chunk, StreamStarted
from .going_on import NONE, Past
from .opening import Start
from .out_of_memory import explain_out_of_memory, is_out_of_memory
from .pipeline import Pipeline, check_seed, long_video, past_from, started_event
from .policies import DeepForcing, Policy
from .prompt import check_prompt
from .run_settings import RunSettings
from .steering import Steered
from .timeline import Timeline


class Prompted(Steered):
    """A steered thread that follows a timeline of prompts, and takes others in between.

    A subclass has its items ask `_next_prompt` at each boundary.
    """

    def __init__(self, pipeline: Pipeline, prompt: str | Timeline, max_queued: int, ahead: int = 0) -> None:
        super().__init__(pipeline.denoiser.device, max_queued, ahead)
        self.pipeline = pipeline
        self._timeline = Timeline.of(prompt)
        self._typed: str | None = None

    def change_prompt(self, text: str) -> None:
        """Use another prompt from the next chunk on, until the timeline's next one.

        Raises PromptError and changes nothing when it cannot be used.
        """
        text = check_prompt(text)
        with self._changed:
            self._typed = text

    @property
    def _first_prompt(self) -> str:
        return self._typed or self._timeline.at(0)

    def _next_prompt(self, index: int) -> str:
        """The boundary; then the prompt of the moment."""
        self._boundary(index)
        with self._changed:
            begins = self.pipeline.starts(index)
            if self._typed is not None:
                self._timeline, self._typed = self._timeline.interrupted(begins, self._typed), None
            return self._timeline.at(begins)


class VideoStream(Prompted):
    """Generates in a thread of its own; events are read with `get` or by iterating.

    Every command takes effect at the next chunk boundary. Chunks made before a command are still delivered, in order;
    chunks begun after a prompt change have the new prompt. A chunk is begun when fewer than `max_queued` are unread, or
    when a reader waits for it: a slow reader slows the model down, and nothing is dropped. With `max_queued=0` nothing
    is made ahead of its reader, so that commands show soonest. Decoding beside the denoising (`overlap`) needs one
    chunk more. The last event is one StreamEnded, also after an error. As a context manager the stream stops on
    leaving.
    """

    item, thread_name = Chunk, "deepforcing-stream"

    def __init__(
        self,
        pipeline: Pipeline,
        prompt: str | Timeline,
        *,
        policy: Policy | None = None,
        seed: int = 0,
        switch: str = "keep",
        num_frames: int | None = None,
        probe: bool = True,
        max_queued: int = 2,
        overlap: bool | None = None,
        stale_prompt: bool = False,
        past: Past = NONE,
        start: Start | None = None,
        steps: int | None = None,
        loras: Sequence[float] | None = None,
    ) -> None:
        """See `generate_long_video`. loras: the strength of each of the model's, None for those that it was loaded
        with; others are told by a SettingsChanged before the first chunk. Raises PromptError or SettingsError at once
        for what cannot work."""
        ahead = pipeline.denoiser.device.type == "cuda" if overlap is None else overlap
        super().__init__(pipeline, prompt, max_queued, ahead)
        self.settings = RunSettings(policy or DeepForcing(), probe, switch, steps, loras)
        self.seed, self.stale_prompt = check_seed(seed), stale_prompt
        past = past_from(pipeline, start, past)
        self._items = long_video(
            pipeline, self._next_prompt, self.settings, num_frames, seed, overlap, stale_prompt, past
        )

    def change(
        self,
        *,
        policy: Policy | None = None,
        probe: bool | None = None,
        switch: str | None = None,
        steps: int | None = None,
        anew: bool = False,
        loras: Sequence[float] | None = None,
    ) -> tuple[int, float]:
        """Other settings from the next chunk on; what is None stays. anew: a new scene, with an emptied cache, which
        can have any policy. loras: the strength of each of the model's, see `Loading`. Returns the chunk's number, and
        its second of the video.

        Waits for the chunk in flight; a SettingsChanged is told before the one that has them. Raises SettingsError, and
        changes nothing, for what cannot be, for what has to wait for the next run, and where this one is over.
        """
        return self._at_boundary(lambda index: self._change(index, policy, probe, switch, steps, anew, loras))

    def _change(self, index: int, *wanted) -> tuple[int, float]:
        self.settings.change(*wanted)
        return index, self.pipeline.starts(index)

    def _in_words(self, error: BaseException) -> str:
        if is_out_of_memory(error):
            return explain_out_of_memory(self.settings.policy, self._device)
        return super()._in_words(error)

    def _started(self) -> StreamStarted:
        settings = self.settings
        return started_event(
            self.pipeline,
            self._first_prompt,
            settings.policy,
            self.seed,
            settings.switch,
            self.stale_prompt,
            settings.steps,
        )
