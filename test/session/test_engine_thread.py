# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The engine thread keeps the newest image, runs calls between images, and reports each error to its caller."""

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
from lang2segtrack_ros.session import appearance_updates
from lang2segtrack_ros.session.appearance_updates import FinishedFrame
from lang2segtrack_ros.session.engine_thread import EngineThread
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import body_box


class ResultCollector:
    """A result callback that stores results and lets a test wait for them."""

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


def test_newest_image_replaces_a_waiting_one_and_is_counted(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    collector = ResultCollector()
    engine = EngineThread[int](Session(segmenter), collector)
    started, proceed = threading.Event(), threading.Event()

    def first() -> Frame:
        started.set()
        assert proceed.wait(10)
        return Frame(frames[0].color)

    engine.offer(0, first)
    assert started.wait(10)
    for tag in (1, 2, 3):
        engine.offer(tag, lambda tag=tag: Frame(frames[tag].color, tag))  # type: ignore[misc]
    proceed.set()
    collector.wait()
    collector.wait()
    engine.close()
    assert collector.tags == [0, 3]
    assert collector.results[1].stamp_ns == 3
    assert (engine.statistics.received, engine.statistics.processed, engine.statistics.replaced) == (4, 2, 2)


def test_appearance_is_updated_after_a_result_and_before_the_next_one(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The update must not delay the result and must not need another image. A failed update is repeated once, and the stream continues."""
    order: list[str] = []
    update = appearance_updates.updated_appearance

    def logging_update(state: SessionState, finished: FinishedFrame, *rest: Any) -> SessionState:
        order.append(f"updated {finished.frame.stamp_ns}")
        if finished.frame.stamp_ns == 1:
            raise ValueError("no room")
        return update(state, finished, *rest)

    monkeypatch.setattr(appearance_updates, "updated_appearance", logging_update)
    collector = ResultCollector()
    engine = EngineThread[int](
        Session(segmenter), lambda tag, frame, result: (order.append(f"result {tag}"), collector(tag, frame, result))[0]
    )
    for tag in (0, 1, 2):
        engine.offer(tag, lambda tag=tag: Frame(frames[tag].color, tag))  # type: ignore[misc]
        collector.wait()
        deadline = time.monotonic() + 10
        while f"updated {tag}" not in order and time.monotonic() < deadline:
            time.sleep(0.01)
    engine.close()
    assert order == ["result 0", "updated 0", "result 1", "updated 1", "updated 1", "result 2", "updated 2"]
    assert engine.metrics["appearance_update_failures"] == 2
    assert engine.statistics.processed == 3


def test_prompt_future_resolves_with_the_image_that_applies_it(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    collector = ResultCollector()
    engine = EngineThread[int](Session(segmenter), collector)
    handle = engine.call(lambda session: session.prompt(BoxPrompt(body_box(frames[0], 1), "mine"))).result(timeout=20)
    future = handle.future
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0.2)
    engine.offer(0, lambda: Frame(frames[0].color))
    assert future.result(timeout=20).track_ids == (1,)
    last = engine.call(lambda session: session.last).result(timeout=20)
    assert last is not None
    assert last.tracks == collector.results[0].tracks
    with pytest.raises(PromptError, match="no detector"):
        engine.call(lambda session: session.prompt(TextPrompt("cup"))).result(timeout=20)
    engine.close()


def test_failed_image_is_counted_and_the_next_one_is_processed(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    collector = ResultCollector()
    engine = EngineThread[int](Session(segmenter), collector)

    def broken() -> Frame:
        raise RuntimeError("lens cap")

    engine.offer(0, broken)
    engine.call(lambda session: None).result(timeout=20)
    engine.offer(1, lambda: Frame(np.ascontiguousarray(frames[1].color)))
    collector.wait()
    engine.close()
    assert engine.statistics.failed == {"RuntimeError": 1}
    assert engine.statistics.last_error == "RuntimeError: lens cap"
    assert collector.tags == [1]


def test_close_fails_waiting_futures(segmenter: Sam2Segmenter) -> None:
    """A caller must not wait forever for a closed engine."""
    woken = threading.Event()
    engine = EngineThread[int](Session(segmenter), ResultCollector(), woken.set)
    handle = engine.call(lambda session: session.prompt(BoxPrompt((0, 0, 9, 9)))).result(timeout=20)
    engine.call(lambda session: None).result(timeout=20)
    engine.close()
    assert "shutting down" in handle.future.result(timeout=0).error
    with pytest.raises(RuntimeError, match="shutting down"):
        engine.call(lambda session: None).result(timeout=0)
    assert woken.is_set()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_long_task_keeps_its_time_share_while_images_wait(segmenter: Sam2Segmenter, frames: list[SceneFrame], share: float) -> None:
    """An image waits after every image. A share of 0 allows one piece at most, and a share of 1 allows one piece after each image."""
    pieces_at_result: list[int] = []
    pieces = 0
    shown = 0
    ready = threading.Event()

    def feed(*_: object) -> None:
        nonlocal shown
        ready.wait(10)
        pieces_at_result.append(pieces)
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
    with pytest.raises(RuntimeError, match="another long task"):
        second.result(timeout=20)
    done.result(timeout=20)
    engine.close()
    assert pieces == 30
    assert len(pieces_at_result) == 8
    assert pieces_at_result[-1] <= 1 if share == 0 else pieces_at_result[-1] >= 7


def test_failed_or_unfinished_long_task_fails_its_future(segmenter: Sam2Segmenter) -> None:
    """The owner of a long task must learn that no result will come."""

    def broken(_: Session) -> Iterator[None]:
        yield
        raise ValueError("broken task")

    def endless(_: Session) -> Iterator[None]:
        while True:
            time.sleep(0.001)
            yield

    engine = EngineThread[int](Session(segmenter), ResultCollector())
    with pytest.raises(ValueError, match="broken task"):
        engine.work(broken, lambda: 1.0).result(timeout=20)
    unfinished = engine.work(endless, lambda: 1.0)
    engine.call(lambda session: None).result(timeout=20)
    engine.close()
    with pytest.raises(RuntimeError, match="shutting down"):
        unfinished.result(timeout=0)


def test_history_metric_is_current_while_images_arrive_without_pause(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Each result triggers the next image, like a camera that is faster than the engine."""
    shown = iter(range(1, 7))
    done = threading.Event()

    def next_image(tag: int, frame: Frame, result: FrameResult) -> None:
        index = next(shown, None)
        if index is None:
            done.set()
            return
        descriptions.append(engine.metrics["history"])
        engine.offer(index, lambda: Frame(frames[index].color, index))

    descriptions: list[Any] = []
    engine = EngineThread[int](Session(segmenter, history=FrameHistory()), next_image)
    assert str(engine.metrics["history"]).startswith("no frame is available yet")
    engine.offer(0, lambda: Frame(frames[0].color, 0))
    assert done.wait(20)
    engine.close()
    assert descriptions[-1] != descriptions[1]
    assert str(descriptions[-1]).startswith("frames 0 to ")


def test_requests_of_a_failed_loop_fail_with_an_error(segmenter: Sam2Segmenter) -> None:
    """`sys.exit` in one request ends the loop, which restarts. The other requests have already left the queue."""
    engine = EngineThread[int](Session(segmenter), ResultCollector())
    release = threading.Event()
    engine.call(lambda _: release.wait(10))
    requests = [engine.call(lambda _: sys.exit(1)), engine.call(lambda _: 1)]
    release.set()
    for request in requests:
        with pytest.raises(RuntimeError, match="send it again"):
            request.result(timeout=10)
    assert engine.call(lambda _: 2).result(timeout=10) == 2
    engine.close()
