# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The one thread that owns a session and all its tensors. Needs no ROS.

Images wait in a slot for one: the newest replaces an older one that was not looked at, and the loss is counted. Everything else a
session is asked for runs between two images and resolves a future.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from lang2segtrack_ros.runtime.call_queue import CallQueue
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
LOG_EVERY_S = 5.0
"""The same failure of every image is logged once in a while; the counters have them all."""
REST_S = 0.006
"""After a frame, learning from it waits this long for the next image or request: the result is being published meanwhile."""
SHUTTING_DOWN = "the node is shutting down"
MAX_CALLS = 64
"""Requests that are carried out between two images; a flood of them does not stop the stream."""
Tag = TypeVar("Tag")
Answer = TypeVar("Answer")


@dataclass
class EngineStatistics:
    """Counters since the thread began, and how long images waited and were worked on."""

    received: int = 0
    processed: int = 0
    replaced: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    last_error: str = ""
    failed_at: float = float("-inf")  # on the clock of time.monotonic
    waited: Durations = field(default_factory=Durations)
    steps: Durations = field(default_factory=Durations)


@dataclass
class _Work:
    """Long work, and the time it has taken of all the time since it began."""

    pieces: Iterator[None]
    share: Callable[[], float]
    future: Future[None]
    began: float = field(default_factory=time.perf_counter)
    spent_s: float = 0.0

    def may_run(self, busy: bool) -> bool:
        """Whether a piece may run now; `busy` when an image was just worked on, so that another one may wait already."""
        return not busy or self.spent_s <= self.share() * (time.perf_counter() - self.began)


class EngineThread(Generic[Tag]):
    """Runs a session.

    Args:
        session: from now on only this thread touches it.
        on_result: called on this thread with each frame's tag, frame and result; must be quick.
        on_wake: called on this thread whenever a future may have been resolved.
    """

    def __init__(
        self, session: Session, on_result: Callable[[Tag, Frame, FrameResult], None], on_wake: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._on_result = on_result
        self._on_wake = on_wake
        self._condition = threading.Condition()
        self._slot: tuple[Tag, Callable[[], Frame], float] | None = None  # the last: since when it waits
        self._calls: CallQueue[Session] = CallQueue(self._condition)
        self._handles: list[tuple[PromptHandle, Future[PromptHandle]]] = []
        self._work: _Work | None = None
        self._closed = False
        self._update_due = False
        self.statistics = EngineStatistics()
        self._thread = SupervisedThread("lang2segtrack-engine", self._run)

    @property
    def restarts(self) -> int:
        """How often loops of this thread and the detector's had to be started again; the session goes on as it was."""
        return self._thread.restarts + self._session.worker_restarts

    @property
    def last_errors(self) -> list[str]:
        """What failed last: an image, the thread's loop, the detector."""
        return list(filter(None, (self.statistics.last_error, self._thread.last_error, self._session.detector_error)))

    @property
    def metrics(self) -> dict[str, object]:
        """What a user may want to know of images, objects, the detector and what waits, by name."""
        session, statistics = self._session, self.statistics
        return {
            "images_received": statistics.received,
            "images_processed": statistics.processed,
            "images_replaced": statistics.replaced,
            **{f"images_failed_{name}": count for name, count in sorted(statistics.failed.items())},
            **statistics.waited.metrics("engine_wait"),
            **statistics.steps.metrics("step"),
            **session.detection_durations.metrics("detection"),
            "prompts_pending": session.waiting,
            "engine_calls_pending": len(self._calls),
            "detections_run": session.detection_runs,
            "detections_failed": session.detector_errors,
            **session.counts,
            "history": session.history.describe() if session.history is not None else "off",
            "memory_settings": f"degraded: {self.degraded_to}" if self.degraded_to else "full",
        }

    @property
    def degraded_to(self) -> str:
        """What is done to need less memory, empty when nothing is."""
        return self._session.degraded_to

    def offer(self, tag: Tag, frame: Callable[[], Frame]) -> None:
        """Hands over an image; `frame` is called on the engine thread, as late as possible, and may look for depth then."""
        with self._condition:
            self.statistics.received += 1
            self.statistics.replaced += self._slot is not None
            self._slot = (tag, frame, time.perf_counter())
            self._condition.notify()

    def call(self, function: Callable[[Session], Answer]) -> Future[Answer]:
        """Runs a function of the session between two images."""
        return self._calls.put(function)

    def applied(self, handle: PromptHandle) -> Future[PromptHandle]:
        """Resolves when an image has answered a prompt of this session."""
        future: Future[PromptHandle] = Future()
        self._begin(lambda _: self._handles.append((handle, future)), future)
        return future

    def work(self, begin: Callable[[Session], Iterator[None]], share: Callable[[], float]) -> Future[None]:
        """Runs long work on the session piece by piece, one work at a time.

        Args:
            begin: makes the pieces, on the engine thread.
            share: of the thread's time that it may take while images wait, 0..1; between images it runs freely.
        """
        future: Future[None] = Future()

        def start(session: Session) -> None:
            if self._work is not None:
                raise RuntimeError("other work is going on")
            self._work = _Work(begin(session), share, future)

        self._begin(start, future)
        return future

    def _begin(self, function: Callable[[Session], None], future: Future[Any]) -> None:
        """Runs what will resolve a future later; if it fails, the future does."""

        def refused(begun: Future[None]) -> None:
            error = begun.exception()
            if error is not None:
                future.set_exception(error)

        self.call(function).add_done_callback(refused)

    def close(self) -> None:
        """Ends the thread after the step it is in (see `SupervisedThread.join`); futures that wait are failed."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()
        self._calls.close(SHUTTING_DOWN)
        late: list[Future[Any]] = [self._work.future] if self._work is not None else []
        for future in [*late, *(future for _, future in self._handles)]:
            if not future.done():
                future.set_exception(RuntimeError(SHUTTING_DOWN))
        self._session.close()
        self._on_wake()

    def _run(self) -> None:
        while True:
            with self._condition:
                asked = self._condition.wait_for(
                    lambda: self._closed or self._calls or self._slot is not None or self._work is not None,
                    REST_S if self._update_due else None,
                )
                if self._closed:
                    return
                calls = self._calls.take(MAX_CALLS)
                slot, self._slot = self._slot, None
            try:
                if not asked:
                    self._update_due = False
                    self._session.update_appearance()
                for call in calls:
                    call.run(self._session)
                if slot is not None:
                    self._step(*slot)
            finally:
                for call in calls:
                    if not call.future.done():  # the loop itself has failed
                        call.future.set_exception(RuntimeError("the engine's thread failed before it came to this request: ask again"))
                if self._settle() or calls:
                    self._on_wake()
            if self._work is not None and self._work.may_run(slot is not None):
                self._continue(self._work)

    def _continue(self, work: _Work) -> None:
        """One piece of long work."""
        started = time.perf_counter()
        try:
            next(work.pieces)
        except StopIteration:
            self._work = None
            work.future.set_result(None)
        except Exception as error:  # handed to whoever waits for the future
            self._work = None
            work.future.set_exception(error)
        work.spent_s += time.perf_counter() - started

    def _step(self, tag: Tag, make_frame: Callable[[], Frame], offered: float) -> None:
        started = time.perf_counter()
        self.statistics.waited.add(started - offered)
        try:
            frame = make_frame()
            result = self._session.step(frame, update_appearance=False)
            self.statistics.processed += 1
            self.statistics.steps.add(time.perf_counter() - started)
            self._update_due = True
            self._on_result(tag, frame, result)
        except Exception as error:  # one bad image must not end the stream; it is counted, logged and shown in diagnostics
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        name, statistics, now = type(error).__name__, self.statistics, time.monotonic()
        words = f"{name}: {error}"
        if words != statistics.last_error or now - statistics.failed_at > LOG_EVERY_S:
            log.exception("an image could not be processed", exc_info=error)
        statistics.failed[name] += 1
        statistics.failed_at, statistics.last_error = now, words

    def _settle(self) -> bool:
        """Resolves what an image has answered; whether there was anything."""
        done = [item for item in self._handles if item[0].done]
        self._handles = [item for item in self._handles if not item[0].done]
        for handle, future in done:
            future.set_result(handle)
        return bool(done)
