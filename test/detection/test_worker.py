# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The detector thread processes one request at a time and delivers each result or error once."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionWorker


class GatedDetector:
    """A detector that returns after its gate opens."""

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


def test_worker_is_busy_until_its_result_is_taken() -> None:
    """The worker must not overwrite a result that nobody has taken."""
    detector = GatedDetector()
    worker = DetectionWorker(detector)
    assert worker.idle
    worker.submit(request("cup"))
    assert not worker.idle
    assert worker.result is None
    detector.gate.set()
    worker.wait(10)
    assert not worker.idle, "the finished result is not taken yet"
    result = worker.result
    worker.discard_result()
    assert result is not None
    assert [item.label for item in result.detections] == ["cup"]
    assert worker.result is None
    assert worker.idle
    worker.close()


def test_detector_error_becomes_the_result() -> None:
    """One failed detection must not end the thread."""
    detector = GatedDetector()
    detector.gate.set()
    worker = DetectionWorker(detector)
    worker.submit(request("boom"))
    worker.wait(10)
    result = worker.result
    worker.discard_result()
    assert result is not None
    assert str(result.error) == "no memory"
    worker.submit(request("cup"))
    worker.wait(10)
    assert worker.result is not None, "the thread continues after an error"
    worker.close()


@pytest.mark.parametrize("with_request", [False, True])
def test_close_ends_the_thread(with_request: bool) -> None:
    detector = GatedDetector()
    worker = DetectionWorker(detector)
    if with_request:
        worker.submit(request("cup"))
        detector.gate.set()
    worker.close()
    assert "lang2segtrack-detector" not in [thread.name for thread in threading.enumerate()]
