# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The detector and the matcher of a session: their thread, their results and their failures."""

from __future__ import annotations

import logging
from dataclasses import replace

from lang2segtrack_ros.detection.detector import Detector, DetectorError, ExemplarDetector, ExemplarMatcher
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.detection.worker import DetectionResult, DetectionWorker
from lang2segtrack_ros.identity.exemplar_features import FeatureMatcher
from lang2segtrack_ros.runtime.metrics import Durations
from lang2segtrack_ros.session.degradation import Degradation, is_out_of_memory, smaller_detector
from lang2segtrack_ros.session.matching import smaller_matcher
from lang2segtrack_ros.session.pipeline import ComputedFrame
from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompt_handle import PromptStatus

log = logging.getLogger(__name__)


class Detections:
    """The detector and the matcher, their thread and their counters.

    Args:
        detector: the detector. None without text prompts.
        matcher: the matcher, which may be the detector. None without exemplar prompts.
        background: True runs both on their own thread.
        degradation: reduced memory settings of the session.

    Attributes:
        detector: the detector. It may shrink after an out-of-memory error.
        finder: the matcher with its encodings. It may shrink, too.
        runs: number of detections.
        errors: number of failed detections.
        last_error: message of the latest failure. Empty without a failure.
        durations: run times.
    """

    def __init__(self, detector: Detector | None, matcher: ExemplarMatcher | None, background: bool, degradation: Degradation) -> None:
        self.detector = detector
        self.finder = ExemplarFinder(matcher) if matcher is not None else None
        self._degradation = degradation
        self.worker = DetectionWorker(detector, self.finder) if background and (detector is not None or matcher is not None) else None
        self.runs = 0
        self.errors = 0
        self.last_error = ""
        self.durations = Durations()

    @property
    def matcher(self) -> ExemplarMatcher | None:
        """Return the matcher. None without exemplar prompts."""
        return self.finder.matcher if self.finder is not None else None

    @property
    def background(self) -> bool:
        """Return True if the detector runs on its own thread."""
        return self.worker is not None

    @property
    def idle(self) -> bool:
        """Return True if the detector takes a request."""
        return self.worker is None or self.worker.idle

    @property
    def restarts(self) -> int:
        """Return how many times the detector thread had to restart its loop."""
        return self.worker.restarts if self.worker is not None else 0

    def close(self) -> None:
        """End the detector thread."""
        if self.worker is not None:
            self.worker.close()

    def receive(self, state: SessionState) -> SessionState:
        """Return the state with the result of the detector thread, if one has arrived."""
        result = self.worker.result if self.worker is not None else None
        if result is None or self.worker is None:
            return state
        self._count(result)
        pending = state.pending
        if pending is not None and pending.result is None and pending.request is result.request:  # else the session has dropped it
            if result.error is None:
                state = replace(state, pending=replace(pending, result=result))
            else:
                state = self._after_failure(replace(state, pending=None), result.error)
        self.worker.discard_result()
        return state

    def submit(self, computed: ComputedFrame) -> SessionState:
        """Submit the request of a computed frame, or count its detection. Return the state after the frame."""
        state = computed.state
        if computed.detection is not None:
            self._count(computed.detection)
            if computed.detection.error is not None:
                state = self._after_failure(state, computed.detection.error)
        if computed.request is not None and self.worker is not None:
            self.worker.submit(computed.request)
        return state

    def count_failure(self, state: SessionState, error: Exception) -> SessionState:
        """Count a failed frame for all waiting prompts and for the pending result, because one of them may be the cause.

        Args:
            state: the state before the frame.
            error: the exception.
        """
        prompts = state.prompts.mapped(
            lambda entry: entry.status is PromptStatus.QUEUED, lambda entry: entry.failed_attempt(error, "the image")
        )
        state, pending = replace(state, prompts=prompts), state.pending
        if pending is None or pending.result is None:
            return state
        if pending.failures + 1 < MAX_ATTEMPTS:
            return replace(state, pending=replace(pending, failures=pending.failures + 1))
        prompts = state.prompts.mapped(
            lambda entry: entry.status is PromptStatus.DETECTING, lambda entry: entry.failed_attempt(error, "the detection")
        )
        return replace(state, pending=None, prompts=prompts)

    def _count(self, result: DetectionResult) -> None:
        self.runs += 1
        self.durations.add(result.seconds)
        if result.error is not None:
            self.errors += 1
            last_error = f"detector: {type(result.error).__name__}: {result.error}"
            if last_error != self.last_error:  # a detector that always fails would fill the log
                is_own_error = not isinstance(result.error, DetectorError)  # whose sentence says it all
                log.error("%s; tracking continues", last_error, exc_info=result.error if is_own_error else None)
            self.last_error = last_error

    def _after_failure(self, state: SessionState, error: Exception) -> SessionState:
        """Queue the prompts of a failed detection again. If it ran out of memory, switch to smaller images or batches."""
        if not (is_out_of_memory(error) and self._shrink()):
            prompts = state.prompts.mapped(
                lambda entry: entry.status is PromptStatus.DETECTING, lambda entry: entry.failed_attempt(error, "the detector")
            )
            return replace(state, prompts=prompts)
        self._degradation.report(["the detector uses smaller images"])
        return replace(state, prompts=state.prompts.requeued(PromptStatus.DETECTING))

    def _shrink(self) -> bool:
        """Reduce the memory use of the detector and of the matcher. Return False if both have their lowest settings."""
        detector = smaller_detector(self.detector)
        matcher: ExemplarMatcher | None = smaller_matcher(self.matcher)
        if isinstance(detector, ExemplarDetector) and self.finder is not None and not isinstance(self.matcher, FeatureMatcher):
            matcher = detector
        if detector is None and matcher is None:
            return False
        self.detector = detector or self.detector
        if matcher is not None:
            self.finder = ExemplarFinder(matcher)
        if self.worker is not None:
            self.worker.use(self.detector, self.finder)
        return True
