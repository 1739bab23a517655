# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A source that is tracked while somebody looks on and prompts: what stands between `offline.track_source` and the window."""

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
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from lang2segtrack_ros.viewers.window import Row


@dataclass(frozen=True)
class Reply:
    """An answer for the window."""

    success: bool
    message: str = ""
    track_ids: Sequence[int] = ()
    labels: Sequence[str] = ()


class Player:
    """A `window.Tracker` and an `offline.Watcher`: the window calls it from one thread, the tracking from another.

    Args:
        playing: whether to begin at once; else the first image waits for `toggle`.

    Attributes:
        newest: see `window.Tracker`.
        playing: whether images follow each other.
    """

    def __init__(self, playing: bool) -> None:
        self.newest: NDArray[np.uint8] | None = None
        self.playing = playing
        self._ended = False
        self._changed = threading.Condition()
        self._calls: CallQueue[Session] = CallQueue(self._changed)
        self._handles: list[tuple[PromptHandle, Future[Any]]] = []
        self._rows: list[Row] = []

    @property
    def problem(self) -> str:
        """See `window.Tracker`."""
        if self.playing:
            return ""
        given = len(self._handles)
        return f"{given} given: press Play" if given else "paused: click, draw a box or name things, then press Play"

    def toggle(self) -> None:
        """Plays or pauses."""
        with self._changed:
            self.playing = not self.playing
            self._changed.notify()

    def end(self) -> None:
        """Nothing more is to be shown; what was tracked so far is kept."""
        with self._changed:
            self._ended = True
            self._calls.close("tracking has ended")
            self._changed.notify()

    def prompt(self, prompt: TextPrompt | BoxPrompt | PointPrompt) -> Future[Any]:
        """See `window.Tracker`; answered by the next image that is worked on."""
        future: Future[Any] = Future()

        def give(session: Session) -> None:
            self._handles.append((session.prompt(prompt), future))

        self._call(give, future)
        return future

    def remove(self, track_id: int) -> Future[Any]:
        """See `window.Tracker`."""
        future: Future[Any] = Future()

        def forget(session: Session) -> None:
            session.remove(track_id)
            self._rows = [row for row in self._rows if row.id != track_id]
            future.set_result(Reply(True))

        self._call(forget, future)
        return future

    def tracks(self) -> Future[Sequence[Row]]:
        """See `window.Tracker`."""
        future: Future[Sequence[Row]] = Future()
        future.set_result(self._rows)
        return future

    def _call(self, function: Callable[[Session], None], future: Future[Any]) -> None:
        """Run a function that resolves `future` later; if it fails, it resolves it now."""

        def failed(called: Future[None]) -> None:
            error = called.exception()
            if isinstance(error, ValueError):  # PromptError, TrackerError: the user can mend them
                future.set_result(Reply(False, str(error)))
            elif error is not None:
                future.set_exception(error)

        self._calls.put(function).add_done_callback(failed)

    def before(self, session: Session, frame: Frame) -> bool:
        """See `offline.Watcher`: waits while paused, and passes on what the user wants."""
        if not self.playing:
            tracks = session.last.tracks if session.last is not None else ()
            self.newest = frame.color if not tracks else self.newest
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.playing or self._ended or self._calls)
                calls = self._calls.take()
                go_on, ended = self.playing, self._ended
            for call in calls:
                call.run(session)
            if ended:
                return False
            if go_on:
                return True

    def after(self, frame: Frame, result: FrameResult) -> None:
        """See `offline.Watcher`."""
        self.newest = draw_overlay(frame.color, result.announced)
        self._rows = [Row(track.id, track.label, track.state, track.score, track.box is not None) for track in result.announced]
        for handle, future in [item for item in self._handles if item[0].done]:
            self._handles.remove((handle, future))
            future.set_result(Reply(not handle.error, handle.error or "; ".join(handle.notes), handle.track_ids, handle.labels))
