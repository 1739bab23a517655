# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine's thread: newest image wins, calls run between images, errors stay where they belong."""

from __future__ import annotations

import concurrent.futures
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import body_box


class Outcome:
    """Collects results and lets the test wait for them."""

    def __init__(self) -> None:
        self.tags: list[Any] = []
        self.results: list[FrameResult] = []
        self.arrived = threading.Semaphore(0)

    def __call__(self, tag: Any, frame: Frame, result: FrameResult) -> None:
        self.tags.append(tag)
        self.results.append(result)
        self.arrived.release()

    def wait(self) -> None:
        assert self.arrived.acquire(timeout=20)


def test_newest_image_wins_and_the_loss_is_counted(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    outcome = Outcome()
    engine = EngineThread[int](Session(segmenter), outcome)
    inside, go = threading.Event(), threading.Event()

    def first() -> Frame:
        inside.set()
        assert go.wait(10)
        return Frame(frames[0].color)

    engine.offer(0, first)
    assert inside.wait(10)
    for tag in (1, 2, 3):
        engine.offer(tag, lambda tag=tag: Frame(frames[tag].color, tag))  # type: ignore[misc]
    go.set()
    outcome.wait()
    outcome.wait()
    engine.close()
    assert outcome.tags == [0, 3]
    assert outcome.results[1].stamp_ns == 3
    assert (engine.statistics.received, engine.statistics.processed, engine.statistics.replaced) == (4, 2, 2)


def test_a_frame_is_learnt_from_after_its_result_and_before_the_next(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The result does not wait for it; without another image it is done all the same, and a failure is counted and not the end."""
    order: list[str] = []

    class Told(Session):
        def _update_appearance(self, frame: Frame, *more: Any) -> None:
            order.append(f"learnt {frame.stamp_ns}")
            super()._update_appearance(frame, *more)
            if frame.stamp_ns == 1:
                order.append("failed")
                raise ValueError("no room")

    outcome = Outcome()
    engine = EngineThread[int](Told(segmenter), lambda tag, frame, result: (order.append(f"result {tag}"), outcome(tag, frame, result))[0])
    for tag in (0, 1, 2):
        engine.offer(tag, lambda tag=tag: Frame(frames[tag].color, tag))  # type: ignore[misc]
        outcome.wait()
        deadline = time.monotonic() + 10
        while f"learnt {tag}" not in order and time.monotonic() < deadline:
            time.sleep(0.01)
    engine.close()
    assert order == ["result 0", "learnt 0", "result 1", "learnt 1", "failed", "result 2", "learnt 2"]
    assert engine.metrics["appearance_update_failures"] == 1
    assert engine.statistics.processed == 3


def test_prompts_resolve_with_the_image_that_answers_them(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    outcome = Outcome()
    engine = EngineThread[int](Session(segmenter), outcome)
    handle = engine.call(lambda session: session.prompt(BoxPrompt(body_box(frames[0], 1), "mine"))).result(timeout=20)
    future = engine.applied(handle)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0.2)
    engine.offer(0, lambda: Frame(frames[0].color))
    assert future.result(timeout=20).track_ids == [1]
    last = engine.call(lambda session: session.last).result(timeout=20)
    assert last is not None
    assert last.tracks == outcome.results[0].tracks
    with pytest.raises(PromptError, match="no detector"):
        engine.call(lambda session: session.prompt(TextPrompt("cup"))).result(timeout=20)
    engine.close()


def test_a_failing_image_is_counted_and_the_next_one_works(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    outcome = Outcome()
    engine = EngineThread[int](Session(segmenter), outcome)

    def broken() -> Frame:
        raise RuntimeError("lens cap")

    engine.offer(0, broken)
    engine.call(lambda session: None).result(timeout=20)
    engine.offer(1, lambda: Frame(np.ascontiguousarray(frames[1].color)))
    outcome.wait()
    engine.close()
    assert engine.statistics.failed == {"RuntimeError": 1}
    assert engine.statistics.last_error == "RuntimeError: lens cap"
    assert outcome.tags == [1]


def test_closing_fails_what_waits(segmenter: Sam2Segmenter) -> None:
    woken = threading.Event()
    engine = EngineThread[int](Session(segmenter), Outcome(), woken.set)
    handle = engine.call(lambda session: session.prompt(BoxPrompt((0, 0, 9, 9)))).result(timeout=20)
    future = engine.applied(handle)
    engine.call(lambda session: None).result(timeout=20)
    engine.close()
    for late in (future, engine.applied(handle)):
        with pytest.raises(RuntimeError, match="shutting down"):
            late.result(timeout=0)
    with pytest.raises(RuntimeError, match="shutting down"):
        engine.call(lambda session: None).result(timeout=0)
    assert woken.is_set()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_long_work_keeps_its_share_while_images_wait(segmenter: Sam2Segmenter, frames: list[SceneFrame], share: float) -> None:
    """An image waits after every image: work with no share gets one piece at most, work with all of it one after each image."""
    during: list[int] = []
    pieces = 0
    shown = 0
    ready = threading.Event()

    def feed(*_: object) -> None:
        nonlocal shown
        ready.wait(10)
        during.append(pieces)
        shown += 1
        if shown < 8:
            engine.offer(shown, lambda: Frame(frames[0].color))

    def work(_: Session) -> Iterator[None]:
        nonlocal pieces
        while pieces < 30:
            pieces += 1
            time.sleep(0.002)
            yield

    engine = EngineThread[int](Session(segmenter), feed)
    engine.offer(0, lambda: Frame(frames[0].color))
    done = engine.work(work, lambda: share)
    second = engine.work(work, lambda: share)
    ready.set()
    with pytest.raises(RuntimeError, match="other work"):
        second.result(timeout=20)
    done.result(timeout=20)
    engine.close()
    assert pieces == 30
    assert len(during) == 8
    assert during[-1] <= 1 if share == 0 else during[-1] >= 7


def test_work_that_fails_or_is_left_behind_is_told(segmenter: Sam2Segmenter) -> None:
    def broken(_: Session) -> Iterator[None]:
        yield
        raise ValueError("no way back")

    def endless(_: Session) -> Iterator[None]:
        while True:
            time.sleep(0.001)
            yield

    engine = EngineThread[int](Session(segmenter), Outcome())
    with pytest.raises(ValueError, match="no way back"):
        engine.work(broken, lambda: 1.0).result(timeout=20)
    left = engine.work(endless, lambda: 1.0)
    engine.call(lambda session: None).result(timeout=20)
    engine.close()
    with pytest.raises(RuntimeError, match="shutting down"):
        left.result(timeout=0)


def test_the_history_is_told_of_although_images_never_pause(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Each result brings the next image, as a camera does that is faster than the engine."""
    shown = iter(range(1, 7))
    done = threading.Event()

    def next_image(tag: int, frame: Frame, result: FrameResult) -> None:
        index = next(shown, None)
        if index is None:
            done.set()
            return
        told.append(engine.metrics["history"])
        engine.offer(index, lambda: Frame(frames[index].color, index))

    told: list[Any] = []
    engine = EngineThread[int](Session(segmenter, history=FrameHistory()), next_image)
    assert str(engine.metrics["history"]).startswith("nothing is known yet")
    engine.offer(0, lambda: Frame(frames[0].color, 0))
    assert done.wait(20)
    engine.close()
    assert told[-1] != told[1]
    assert str(told[-1]).startswith("frames 0 to ")


def test_requests_that_a_failing_loop_took_along_are_answered(segmenter: Sam2Segmenter) -> None:
    """`sys.exit` in one of them ends the loop, which is started again; the others were taken off the queue already."""
    engine = EngineThread[int](Session(segmenter), Outcome())
    held = threading.Event()
    engine.call(lambda _: held.wait(10))
    requests = [engine.call(lambda _: sys.exit(1)), engine.call(lambda _: 1)]
    held.set()
    for request in requests:
        with pytest.raises(RuntimeError, match="ask again"):
            request.result(timeout=10)
    assert engine.call(lambda _: 2).result(timeout=10) == 2
    engine.close()
