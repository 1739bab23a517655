# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A detector on its own thread, so that detection never delays the tracker."""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import AcceleratedDetector, Detection, Detector, detect, suppress_duplicates
from lang2segtrack_ros.detection.exemplar import ExemplarFinder, ExemplarMatches
from lang2segtrack_ros.runtime.streams import own_stream
from lang2segtrack_ros.runtime.supervised import SupervisedThread
from lang2segtrack_ros.types.prompts import ExemplarPrompt


@dataclass(frozen=True, eq=False)
class DetectionRequest:
    """A request to detect objects on one image, by phrases and by exemplars.

    Attributes:
        frame_index: index of the frame.
        color: uint8 [H, W, 3], RGB.
        phrases: names of the objects.
        thresholds: minimum score for each phrase, 0..1.
        default_threshold: default threshold of the detector, 0..1.
        exemplars: the exemplars, with their images.
        exemplar_thresholds: minimum score for each exemplar, 0..1.
        default_exemplar_threshold: default threshold of the matcher, 0..1.
    """

    frame_index: int
    color: NDArray[np.uint8]
    phrases: tuple[str, ...]
    thresholds: tuple[float, ...]
    default_threshold: float = 1.0
    exemplars: tuple[ExemplarPrompt, ...] = ()
    exemplar_thresholds: tuple[float, ...] = ()
    default_exemplar_threshold: float = 1.0

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels that the detections may have."""
        return tuple(dict.fromkeys((*self.phrases, *(exemplar.label for exemplar in self.exemplars))))

    def default_threshold_of(self, label: str) -> float:
        """Return the default threshold of the network that detects the objects of a label."""
        return self.default_threshold if label in self.phrases else self.default_exemplar_threshold


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """The outcome of a detection request.

    Attributes:
        request: the request.
        detections: the detections in order of falling score. Empty after an error.
        error: the exception of the detector, or DetectorError for a result with a fault. None after success.
        seconds: run time of the detector in seconds.
        refused: reason by exemplar, for exemplars whose box shows no object.
    """

    request: DetectionRequest
    detections: tuple[Detection, ...] = ()
    error: Exception | None = None
    seconds: float = 0.0
    refused: tuple[tuple[ExemplarPrompt, str], ...] = ()


def run_detection(detector: Detector | None, request: DetectionRequest, finder: ExemplarFinder | None = None) -> DetectionResult:
    """Run the detector and the matcher on the calling thread, and return their detections or an exception.

    Args:
        detector: the detector. None if the request has no phrases.
        request: image, phrases, exemplars and thresholds.
        finder: the matcher with its encodings. None if the request has no exemplars.
    """
    started = time.perf_counter()
    found: list[Detection] = []
    matches = ExemplarMatches()
    try:
        if detector is not None and request.phrases:
            found = detect(detector, request.color, request.phrases, request.thresholds)
        if finder is not None and request.exemplars:
            matches = finder.find(request.color, request.exemplars, request.exemplar_thresholds)
    except Exception as error:  # a failed detection must leave the stream running; the session reports the error
        traceback.clear_frames(error.__traceback__)  # the frames hold tensors, and their memory may be the memory that was missing
        return DetectionResult(request, error=error, seconds=time.perf_counter() - started)
    if found and matches.detections:  # one object may fit a phrase and an exemplar
        found = suppress_duplicates([*found, *matches.detections])
    detections = tuple(found) or matches.detections
    return DetectionResult(request, detections, seconds=time.perf_counter() - started, refused=matches.refused)


class DetectionWorker:
    """A worker thread that processes one detection request at a time.

    Args:
        detector: the detector for all requests; see `use`. None for requests without phrases.
        finder: the matcher for all requests; see `use`. None for requests without exemplars.
    """

    def __init__(self, detector: Detector | None, finder: ExemplarFinder | None = None) -> None:
        self._detector = detector
        self._finder = finder
        self._condition = threading.Condition()
        self._request: DetectionRequest | None = None
        self._result: DetectionResult | None = None
        self._busy = False
        self._prepares = False
        self._closed = False
        self._thread = SupervisedThread("lang2segtrack-detector", self._run)

    @property
    def idle(self) -> bool:
        """Return True if the worker has no request in progress and no result to take, and does not prepare its detector."""
        with self._condition:
            return not self._busy and not self._prepares and self._request is None and self._result is None

    def use(self, detector: Detector | None, finder: ExemplarFinder | None = None) -> None:
        """Use another detector and another matcher from the next request on."""
        self._detector, self._finder = detector, finder

    @property
    def restarts(self) -> int:
        """Return how many times the thread had to restart its loop."""
        return self._thread.restarts

    def submit(self, request: DetectionRequest) -> None:
        """Submit a request. The worker must be `idle`."""
        with self._condition:
            assert self._request is None
            self._request = request
            self._condition.notify_all()

    @property
    def result(self) -> DetectionResult | None:
        """Return the finished result. Return None while there is no result."""
        return self._result

    def discard_result(self) -> None:
        """Drop the finished result, so that the worker is idle again."""
        with self._condition:
            self._result = None

    def wait(self, timeout: float | None = None) -> None:
        """Block until the submitted request is finished, or until `timeout` seconds have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or (not self._busy and self._request is None), timeout)

    def close(self) -> None:
        """End the thread after the current request. `SupervisedThread.join` describes the handling of a long request."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        networks = (self._detector, self._finder.matcher if self._finder is not None else None)
        devices = (getattr(network, "device", None) for network in networks)
        with own_stream(next((device for device in devices if device is not None), None)):
            while self._process_next():
                pass

    def _process_next(self) -> bool:
        """Process the next request. Return False after `close`."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._request is not None)
            if self._closed:
                return False
            request, self._request = self._request, None
            self._busy = True
        assert request is not None
        result = DetectionResult(request, error=RuntimeError("the detector thread failed"))
        detector, lacking = self._detector, None
        try:
            result = run_detection(detector, request, self._finder)
            lacking = detector if isinstance(detector, AcceleratedDetector) and detector.has_missed() else None
        finally:  # a caller waits for the result in every case
            with self._condition:
                self._result = result
                self._busy, self._prepares = False, lacking is not None
                self._condition.notify_all()
        if lacking is not None:
            try:
                lacking.prepare_missed()
            finally:
                self._prepares = False
        return True
