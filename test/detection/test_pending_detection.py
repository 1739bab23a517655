# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The frames since a detection request are kept for catching up, at a limited memory use."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.detection.pending_detection import MAX_CACHED_FRAMES, CachedFrame, PendingDetection
from lang2segtrack_ros.detection.worker import DetectionRequest
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures

FEATURES = ImageFeatures.__new__(ImageFeatures)  # no test reads them


def frame(index: int) -> CachedFrame:
    return CachedFrame(index, FEATURES, 4, 4)


def pending_after(later: int) -> PendingDetection:
    """Return a detection that was requested on frame 7, after some more frames."""
    pending = PendingDetection(DetectionRequest(7, np.zeros((4, 4, 3), np.uint8), ("cup",), (0.5,)), (), (frame(7),))
    for index in range(8, 8 + later):
        pending = pending.with_frame(frame(index))
    return pending


def test_all_frames_are_kept_up_to_the_limit() -> None:
    frames = pending_after(MAX_CACHED_FRAMES - 1).frames
    assert [item.index for item in frames] == list(range(7, 7 + MAX_CACHED_FRAMES))


def test_every_second_frame_is_kept_above_the_limit() -> None:
    """The frame of the request and the latest frame stay: catching up starts at one and ends at the other."""
    pending = pending_after(MAX_CACHED_FRAMES)
    indices = [item.index for item in pending.frames]
    assert indices == [7, *range(9, 7 + MAX_CACHED_FRAMES, 2), 7 + MAX_CACHED_FRAMES]


def test_slow_detector_never_exceeds_the_limit() -> None:
    for later in range(0, 10 * MAX_CACHED_FRAMES, 37):
        indices = [item.index for item in pending_after(later).frames]
        assert len(indices) <= MAX_CACHED_FRAMES
        assert (indices[0], indices[-1]) == (7, 7 + later)
        assert indices == sorted(indices)


def test_earlier_value_keeps_its_frames() -> None:
    """A frame that fails is processed again, and must not be cached twice."""
    pending = pending_after(2)
    pending.with_frame(frame(10))
    assert [item.index for item in pending.frames] == [7, 8, 9]
    assert pending.with_frame(frame(10)).request is pending.request
