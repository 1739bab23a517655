# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The detector's thread: one request at a time, every answer delivered once, errors included."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionWorker


class GatedDetector:
    """Answers when its gate is opened."""

    name = "gated"
    default_threshold = 0.5

    def __init__(self) -> None:
        self.gate = threading.Event()

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        assert self.gate.wait(10)
        if "boom" in phrases:
            raise RuntimeError("no memory")
        return [Detection(phrases[0], 0.9, (0, 0, 4, 4))]


def request(phrase: str) -> DetectionRequest:
    return DetectionRequest(3, np.zeros((4, 4, 3), np.uint8), (phrase,), (0.5,))


def test_answers_once_and_is_busy_until_then() -> None:
    detector = GatedDetector()
    worker = DetectionWorker(detector)
    assert worker.idle
    worker.submit(request("cup"))
    assert not worker.idle
    assert worker.take() is None
    detector.gate.set()
    worker.wait(10)
    assert not worker.idle, "an answer that was not taken keeps it from the next request"
    run_detection = worker.take()
    assert run_detection is not None
    assert [item.label for item in run_detection.detections] == ["cup"]
    assert worker.take() is None
    assert worker.idle
    worker.close()


def test_an_error_is_an_answer() -> None:
    detector = GatedDetector()
    detector.gate.set()
    worker = DetectionWorker(detector)
    worker.submit(request("boom"))
    worker.wait(10)
    run_detection = worker.take()
    assert run_detection is not None
    assert str(run_detection.error) == "no memory"
    worker.submit(request("cup"))
    worker.wait(10)
    assert worker.take() is not None, "the thread goes on after an error"
    worker.close()


@pytest.mark.parametrize("with_request", [False, True])
def test_closing_ends_the_thread(with_request: bool) -> None:
    detector = GatedDetector()
    worker = DetectionWorker(detector)
    if with_request:
        worker.submit(request("cup"))
        detector.gate.set()
    worker.close()
    assert "lang2segtrack-detector" not in [thread.name for thread in threading.enumerate()]
