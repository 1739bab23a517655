# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns a session and all its tensors. It needs no ROS.

Images wait in a mailbox with one slot. A new image replaces a waiting older image, and a counter records the loss. All other requests
to the session run between two images and resolve a future.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lang2segtrack_ros.runtime.call_queue import CallQueue
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.runtime.streams import own_stream
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
LOG_INTERVAL_S = 5.0
"""Minimum time in seconds between two log lines about the same failure. The counters include every failure."""
UPDATE_DELAY_S = 0.006
"""Idle time in seconds after a frame before the update of appearance models and history. The result is published meanwhile."""
SHUTTING_DOWN = "the node is shutting down"
MAX_CALLS = 64
"""Maximum number of requests between two images, so that many requests cannot stop the stream."""
Tag = TypeVar("Tag")
Value = TypeVar("Value")


@dataclass
class EngineStatistics:
    """Counters and durations since the start of the thread.

    Attributes:
        received: number of images that were offered.
        processed: number of images with a result.
        replaced: number of images that a newer image replaced in the mailbox.
        idle: number of images that nothing needed.
        failed: number of failed images by exception type.
        last_error: message of the latest failure. Empty if no image failed.
        failed_at: time of the latest failure in seconds on the clock of `time.monotonic`.
        wait_durations: waiting times of images in the mailbox.
        step_durations: processing times of images.
    """

    received: int = 0
    processed: int = 0
    replaced: int = 0
    idle: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    last_error: str = ""
    failed_at: float = float("-inf")
    wait_durations: Durations = field(default_factory=Durations)
    step_durations: Durations = field(default_factory=Durations)


@dataclass
class _LongTask:
    """A long task that runs piece by piece between images.

    Attributes:
        pieces: iterator that runs one piece of the task at each step.
        share: returns the fraction of the thread's time that the task may use while images wait, 0..1.
        future: resolves at the end of the task.
        started: start time in seconds on the clock of `time.perf_counter`.
        spent_s: run time of all pieces so far in seconds.
    """

    pieces: Iterator[None]
    share: Callable[[], float]
    future: Future[None]
    started: float = field(default_factory=time.perf_counter)
    spent_s: float = 0.0

    def may_run(self, busy: bool) -> bool:
        """Return True if a piece may run now. `busy` means that an image was just processed, so that the next may already wait."""
        return not busy or self.spent_s <= self.share() * (time.perf_counter() - self.started)


class EngineThread(Generic[Tag]):
    """A thread that runs a session.

    Args:
        session: the session. From now on, only this thread may use it.
        on_result: callback with the tag, the frame and the result of each frame. It runs on this thread and must return quickly.
        on_wake: callback on this thread after futures may have been resolved.
    """

    def __init__(
        self, session: Session, on_result: Callable[[Tag, Frame, FrameResult], None], on_wake: Callable[[], None] = lambda: None
    ) -> None:
        self._session = session
        self._on_result = on_result
        self._on_wake = on_wake
        self._condition = threading.Condition()
        self._slot: tuple[Tag, Callable[[], Frame], float] | None = None  # tag, frame function, time of the offer
        self._calls: CallQueue[Session] = CallQueue(self._condition)
        self._task: _LongTask | None = None
        self._closed = False
        self._update_due = False
        self.statistics = EngineStatistics()
        self._thread = SupervisedThread("lang2segtrack-engine", self._run)

    @property
    def restarts(self) -> int:
        """Return how many times this thread and the detector thread had to restart their loops. The session keeps its state."""
        return self._thread.restarts + self._session.detections.restarts

    @property
    def last_errors(self) -> list[str]:
        """Return the latest error of an image, of the thread loop, of the detector and of instructions, each only if there was one."""
        return list(filter(None, (self.statistics.last_error, self._thread.last_error, *self._session.last_errors)))

    @property
    def metrics(self) -> dict[str, object]:
        """Return the metrics of images, objects, the detector and the queues by name, for diagnostics."""
        session, statistics = self._session, self.statistics
        return {
            "images_received": statistics.received,
            "images_processed": statistics.processed,
            "images_replaced": statistics.replaced,
            "images_idle": statistics.idle,
            **{f"images_failed_{name}": count for name, count in sorted(statistics.failed.items())},
            **statistics.wait_durations.metrics("engine_wait"),
            **statistics.step_durations.metrics("step"),
            **session.detections.durations.metrics("detection"),
            **session.instructions.metrics,
            "prompts_pending": session.waiting,
            "engine_calls_pending": len(self._calls),
            "detections_run": session.detections.runs,
            "detections_failed": session.detections.errors,
            **session.counts,
            "history": session.history.describe() if session.history is not None else "off",
            **session.acceleration,
            "memory_settings": f"degraded: {self.degraded_to}" if self.degraded_to else "full",
        }

    @property
    def is_idle(self) -> bool:
        """Return True if the session needs no image; see `Session.is_idle`."""
        return self._session.is_idle

    @property
    def needs_depth(self) -> bool:
        """Return True if the session wants depth for the next image; see `Session.needs_depth`."""
        return self._session.needs_depth

    @property
    def degraded_to(self) -> str:
        """Return the degraded memory settings in words. Empty at full settings."""
        return self._session.degradation.settings

    def offer(self, tag: Tag, frame: Callable[[], Frame]) -> None:
        """Put an image into the mailbox. It replaces an image that still waits there.

        Args:
            tag: any value that identifies the image; `on_result` receives it.
            frame: function that returns the frame. The engine thread calls it as late as possible, so that late depth can arrive.
        """
        with self._condition:
            self.statistics.received += 1
            self.statistics.replaced += self._slot is not None
            self._slot = (tag, frame, time.perf_counter())
            self._condition.notify()

    def count_idle(self) -> None:
        """Count an image that arrived, but that nothing needs."""
        with self._condition:
            self.statistics.received += 1
            self.statistics.idle += 1

    def call(self, function: Callable[[Session], Value]) -> Future[Value]:
        """Run a function on the session between two images, and return a future of its value."""
        return self._calls.put(function)

    def work(self, begin: Callable[[Session], Iterator[None]], share: Callable[[], float]) -> Future[None]:
        """Run a long task on the session piece by piece. Only one long task runs at a time.

        Args:
            begin: function that returns the iterator over the pieces. The engine thread calls it and the iterator.
            share: returns the fraction of the thread's time that the task may use while images wait, 0..1. The task has no limit while
                no image waits.

        Returns:
            A future that resolves at the end of the task. It fails with RuntimeError if another long task is running.
        """
        future: Future[None] = Future()

        def start(session: Session) -> None:
            if self._task is not None:
                raise RuntimeError("another long task is running: wait until it has finished")
            self._task = _LongTask(begin(session), share, future)

        self._calls.put_for(future, start)
        return future

    def close(self) -> None:
        """End the thread after the current step (see `SupervisedThread.join`), and fail all unresolved futures."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._calls.close(SHUTTING_DOWN)
        self._thread.join()
        if self._task is not None and not self._task.future.done():
            self._task.future.set_exception(RuntimeError(SHUTTING_DOWN))
        self._session.close(SHUTTING_DOWN)
        self._on_wake()

    def _run(self) -> None:
        with own_stream(self._session.tracker.segmenter.device, is_urgent=True):
            self._serve()

    def _serve(self) -> None:
        while True:
            with self._condition:
                has_work = self._condition.wait_for(
                    lambda: self._closed or self._calls or self._slot is not None or self._task is not None,
                    UPDATE_DELAY_S if self._update_due else None,
                )
                if self._closed:
                    return
                calls = self._calls.take(MAX_CALLS)
                slot, self._slot = self._slot, None
            try:
                if not has_work:
                    self._update_due = False
                    self._session.update_appearance()
                for call in calls:
                    call.run(self._session)
                if slot is not None:
                    self._step(*slot)
            finally:
                for call in calls:
                    if not call.future.done():  # an exception ends this loop before the call ran
                        call.future.set_exception(RuntimeError("the engine thread failed before it processed this request: send it again"))
                if calls:
                    self._on_wake()
            if self._task is not None and self._task.may_run(slot is not None):
                self._run_piece(self._task)

    def _run_piece(self, task: _LongTask) -> None:
        """Run one piece of a long task."""
        started = time.perf_counter()
        try:
            next(task.pieces)
        except StopIteration:
            self._task = None
            task.future.set_result(None)
        except Exception as error:  # the future carries the error to its owner
            self._task = None
            task.future.set_exception(error)
        task.spent_s += time.perf_counter() - started

    def _step(self, tag: Tag, make_frame: Callable[[], Frame], offered: float) -> None:
        started = time.perf_counter()
        self.statistics.wait_durations.add(started - offered)
        try:
            frame = make_frame()
            result = self._session.step(frame, update_appearance=False)
            self.statistics.processed += 1
            self.statistics.step_durations.add(time.perf_counter() - started)
            self._update_due = True
            self._on_result(tag, frame, result)
        except Exception as error:  # one bad image must leave the stream running; counters, log and diagnostics report it
            self._record_failure(error)

    def _record_failure(self, error: Exception) -> None:
        name, statistics, now = type(error).__name__, self.statistics, time.monotonic()
        message = f"{name}: {error}"
        if message != statistics.last_error or now - statistics.failed_at > LOG_INTERVAL_S:
            log.exception("an image could not be processed", exc_info=error)
        statistics.failed[name] += 1
        statistics.failed_at, statistics.last_error = now, message
