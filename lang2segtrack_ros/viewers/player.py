# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A player for a video source: it connects the forward pass of a recording to the prompt window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.rendering import draw_overlay
from lang2segtrack_ros.runtime.call_queue import CallQueue
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from lang2segtrack_ros.viewers.window import Row


@dataclass(frozen=True)
class PromptReply:
    """A response for the window.

    Attributes:
        success: True if the request was carried out.
        message: error, or notes for the user.
        track_ids: objects of the prompt.
        labels: one label for each of `track_ids`.
    """

    success: bool
    message: str = ""
    track_ids: Sequence[int] = ()
    labels: Sequence[str] = ()


class Player:
    """A `window.Tracker` and a `recordings.forward.Watcher`. The window and the forward pass use it from different threads.

    Args:
        playing: True to start at once, False to wait before the first image until `toggle`.

    Attributes:
        newest: see `window.Tracker`.
        playing: False while the player is paused.
    """

    def __init__(self, playing: bool) -> None:
        self.newest: NDArray[np.uint8] | None = None
        self.playing = playing
        self._ended = False
        self._changed = threading.Condition()
        self._calls: CallQueue[Session] = CallQueue(self._changed)
        self._handles: list[PromptHandle] = []
        self._rows: list[Row] = []

    @property
    def problem(self) -> str:
        """See `window.Tracker`."""
        if self.playing:
            return ""
        prompts = sum(not handle.done for handle in self._handles)
        return f"prompts given: {prompts}; press Play" if prompts else "paused: click an object, draw a box or type a name, then press Play"

    def toggle(self) -> None:
        """Play or pause."""
        with self._changed:
            self.playing = not self.playing
            self._changed.notify()

    def end(self) -> None:
        """End the forward pass. The results so far stay valid."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._calls.close("tracking has ended")

    def prompt(self, prompt: TextPrompt | BoxPrompt | PointPrompt) -> Future[Any]:
        """See `window.Tracker`. The next processed image gives the response."""
        future: Future[Any] = Future()

        def add_prompt(session: Session) -> None:
            handle = session.prompt(prompt, log_outcome=False)
            self._handles = [*(item for item in self._handles if not item.done), handle]
            handle.future.add_done_callback(lambda done: future.set_result(_reply(done.result())))

        self._call(add_prompt, future)
        return future

    def remove(self, track_id: int) -> Future[Any]:
        """See `window.Tracker`."""
        future: Future[Any] = Future()

        def remove_track(session: Session) -> None:
            session.remove(track_id)
            self._rows = [row for row in self._rows if row.id != track_id]
            future.set_result(PromptReply(True))

        self._call(remove_track, future)
        return future

    def tracks(self) -> Future[Sequence[Row]]:
        """See `window.Tracker`."""
        future: Future[Sequence[Row]] = Future()
        future.set_result(self._rows)
        return future

    def _call(self, function: Callable[[Session], None], future: Future[Any]) -> None:
        """Queue a function for the session. The function resolves the future, unless it raises.

        Args:
            function: called with the session on the thread of the forward pass.
            future: gets the error if the function raises.
        """

        def attempt(session: Session) -> None:
            try:
                function(session)
            except ValueError as error:  # PromptError and TrackerError, which the user can correct
                future.set_result(PromptReply(False, str(error)))

        self._calls.put_for(future, attempt)

    def before(self, session: Session, frame: Frame) -> bool:
        """See `recordings.forward.Watcher`. While paused, wait and run the queued calls."""
        if not self.playing:
            tracks = session.last.tracks if session.last is not None else ()
            self.newest = frame.color if not tracks else self.newest
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.playing or self._ended or self._calls)
                calls = self._calls.take()
                playing, ended = self.playing, self._ended
            for call in calls:
                call.run(session)
            if ended:
                return False
            if playing:
                return True

    def after(self, frame: Frame, result: FrameResult) -> None:
        """See `recordings.forward.Watcher`."""
        self.newest = draw_overlay(frame.color, result.announced)
        self._rows = [Row(track.id, track.label, track.state, track.score, track.box is not None) for track in result.announced]


def _reply(outcome: PromptOutcome) -> PromptReply:
    return PromptReply(not outcome.error, outcome.error or "; ".join(outcome.notes), list(outcome.track_ids), list(outcome.labels))
