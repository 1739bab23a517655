# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Degradation after an out-of-memory error: smaller batches of objects first, then smaller images.

The settings never rise again, because the same settings would exhaust the memory again. Reloading the networks restores full settings.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from lang2segtrack_ros.detection.detector import Detector, ShrinkingDetector
from lang2segtrack_ros.models.loading import at_size, usable_size
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.tracker import Tracker

Result = TypeVar("Result")
log = logging.getLogger(__name__)
RETRY_S = 2.0
"""Time in seconds after which the session tries smaller settings again, if the smallest settings did not fit."""
SMALLEST_SIZE = 64
"""Smallest image size in pixels. SAM 2 segments nothing below this size."""
_MESSAGES = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "alloc_failed",  # cuBLAS, cuDNN
    "allocation_failed",  # cuDNN 9
    "status_not_initialized",  # cuBLAS and cuDNN, if there is no memory for their context
    "unable to find an engine",  # cuDNN, if a convolution gets no memory for its workspace
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error reports that a device or the host is out of memory. CUDA libraries use several error types for this."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(message in str(error).lower() for message in _MESSAGES)


def release_cached_memory() -> None:
    """Return the cached memory of PyTorch to the device. Tensors in the frames of a live exception stay allocated."""
    gc.collect()  # exceptions can reference each other in cycles and keep the tensors of their frames alive
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def degrade(segmenter: Sam2Segmenter, objects: int) -> Sam2Segmenter | None:
    """Return the same network with the next lower memory use, or None at the lowest settings.

    Args:
        segmenter: the current segmenter. It stays unchanged, because other sessions may share it.
        objects: number of objects that the segmenter had to process.
    """
    release_cached_memory()
    batch_limit = min(segmenter.batch_size, objects) // 2
    if batch_limit:
        return segmenter.with_batch_limit(batch_limit)
    size = usable_size(segmenter.model.config, segmenter.image_size * 3 // 4)
    return at_size(segmenter, size) if size >= SMALLEST_SIZE else None


def smaller_detector(detector: Detector | None) -> Detector | None:
    """Return the same detector for smaller images, or None if it supports none. The given detector stays unchanged."""
    release_cached_memory()
    return detector.shrunk() if isinstance(detector, ShrinkingDetector) else None


def describe(segmenter: Sam2Segmenter) -> str:
    """Describe the settings of a segmenter after `degrade` in words."""
    batch = f"{segmenter.batch_limit} objects at once, " if segmenter.batch_limit else ""
    return f"{batch}images at {segmenter.image_size} px"


class Degradation:
    """The reduced memory settings of a session.

    Attributes:
        count: number of reductions.
        settings: the reduced settings in words. Empty at full settings.
    """

    def __init__(self) -> None:
        self.count = 0
        self.settings = ""
        self._retry_at = float("-inf")  # on the clock of time.monotonic
        self._error = ""

    def run(
        self,
        compute: Callable[[Tracker, SessionState], Result],
        tracker: Tracker,
        state: SessionState,
        release: Callable[[], None] | None,
    ) -> tuple[Result, Tracker, list[str]]:
        """Compute something with a tracker, and again with reduced settings while the device is out of memory.

        Args:
            compute: the function. It changes neither the tracker nor the state.
            tracker: the present tracker.
            state: the present state.
            release: function that releases memory before the next attempt.

        Returns:
            The result, the tracker for it, and the reductions in words.

        Raises:
            torch.OutOfMemoryError: even the lowest settings do not fit into memory.
        """
        steps: list[str] = []
        while True:
            try:
                return compute(tracker, state), tracker, steps
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the except block, Python has released the exception and the tensors in its frames.
            if release is not None:
                release()
            tracker, state, settings = self.reduce(tracker, state)
            steps.append(settings)

    def reduce(self, tracker: Tracker, state: SessionState) -> tuple[Tracker, SessionState, str]:
        """Return a tracker with the next lower memory use, the state for it, and its settings in words.

        Args:
            tracker: the present tracker. It stays unchanged.
            state: the present state.

        Raises:
            torch.OutOfMemoryError: the tracker has the lowest settings already, or these settings did not fit a short time ago. The
                session keeps its full settings for later.
        """
        now = time.monotonic()
        pending = state.pending
        new_objects = len(pending.result.detections) if pending is not None and pending.result is not None else 0
        segmenter = degrade(tracker.segmenter, max(len(tracker.rows.ids), new_objects)) if now >= self._retry_at else None
        if segmenter is None:
            if now >= self._retry_at:
                self._retry_at = now + RETRY_S
                device, settings = tracker.segmenter.device, describe(tracker.segmenter)
                self._error = f"out of memory on {device}, even with {settings}: remove objects, or free memory on the device"
            raise torch.OutOfMemoryError(self._error)
        if segmenter.feature_size != tracker.segmenter.feature_size:
            state = state.without_detection()  # its cached features have the old size
        return tracker.with_segmenter(segmenter), state, describe(segmenter)

    def report(self, steps: Sequence[str]) -> None:
        """Count and log reductions, each described in words."""
        for settings in steps:
            self.count += 1
            self.settings = settings
            log.warning("out of memory: from now on %s", settings)
