# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A detector on a thread of its own, so that it never holds up the tracker."""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.runtime.streams import own_stream
from lang2segtrack_ros.runtime.supervised import SupervisedThread


@dataclass(frozen=True, eq=False)
class DetectionRequest:
    """A question to the detector: which of the phrases are on this image?"""

    frame_index: int
    color: NDArray[np.uint8]
    phrases: tuple[str, ...]
    thresholds: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """What became of a request: the detections, or the error that came instead, and the seconds it took."""

    request: DetectionRequest
    detections: tuple[Detection, ...] = ()
    error: Exception | None = None
    seconds: float = 0.0


def run_detection(detector: Detector, request: DetectionRequest) -> DetectionResult:
    """Asks the detector here and now; whatever it raises becomes part of the answer."""
    began = time.perf_counter()
    try:
        found = detector.detect(request.color, request.phrases, request.thresholds)
    except Exception as error:  # a failed detection must not end the stream; the session reports it
        traceback.clear_frames(error.__traceback__)  # else tensors in them would hold memory, which may be what was missing
        return DetectionResult(request, error=error, seconds=time.perf_counter() - began)
    return DetectionResult(request, tuple(found), seconds=time.perf_counter() - began)


class DetectionWorker:
    """Answers one request at a time; `idle` tells whether it can take one."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._condition = threading.Condition()
        self._request: DetectionRequest | None = None
        self._result: DetectionResult | None = None
        self._busy = False
        self._closed = False
        self._thread = SupervisedThread("lang2segtrack-detector", self._run)

    @property
    def idle(self) -> bool:
        """True when no request is waiting or worked on, and no answer waits to be taken."""
        with self._condition:
            return not self._busy and self._request is None and self._result is None

    def use(self, detector: Detector) -> None:
        """Answers with another detector from the next request on."""
        self._detector = detector

    @property
    def restarts(self) -> int:
        """How often the thread's loop had to be started again."""
        return self._thread.restarts

    def submit(self, request: DetectionRequest) -> None:
        """Hands over a request; only when `idle`."""
        with self._condition:
            assert self._request is None
            self._request = request
            self._condition.notify_all()

    def take(self) -> DetectionResult | None:
        """The finished answer, once; None while there is none."""
        with self._condition:
            taken, self._result = self._result, None
            return taken

    def wait(self, timeout: float | None = None) -> None:
        """Blocks until the request handed over last is answered."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or (not self._busy and self._request is None), timeout)

    def close(self) -> None:
        """Ends the thread after the request it is working on; see `SupervisedThread.join` for one that takes long."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        with own_stream(getattr(self._detector, "device", None)):
            while self._work():
                pass

    def _work(self) -> bool:
        """Answers the next request; False when there are to be no more."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._request is not None)
            if self._closed:
                return False
            request, self._request = self._request, None
            self._busy = True
        assert request is not None
        result = DetectionResult(request, error=RuntimeError("the detector's thread failed"))
        try:
            result = run_detection(self._detector, request)
        finally:  # whatever happens, somebody waits for the answer
            with self._condition:
                self._result = result
                self._busy = False
                self._condition.notify_all()
        return True
