# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a node says when tracks begin and end."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.ros.outputs.track_log import TrackLog
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus


class Logger:
    """Logger that keeps its lines, as rclpy's has no handlers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)


def result(*tracks: tuple[int, str, TrackStatus]) -> FrameResult:
    mask = np.zeros((2, 2), bool)
    return FrameResult(0, 0, 2, 2, tuple(Track(number, label, state, 0.0, None, mask, 0.0, 0.0, 0.0, 0) for number, label, state in tracks))


def test_each_track_has_one_line_at_its_beginning_and_one_at_its_end() -> None:
    """A line for each image would hide the rest of the log. A tentative track may never be announced. A reset removes tracks silently."""
    logger = Logger()
    log = TrackLog(logger)
    mug, cup = (1, "mug"), (2, "cup")
    log.update(result((*mug, TrackStatus.TENTATIVE)))
    for state in (TrackStatus.TRACKED, TrackStatus.OCCLUDED, TrackStatus.LOST):
        log.update(result((*mug, state), (*cup, TrackStatus.TRACKED)))
    log.update(result((*mug, TrackStatus.REMOVED), (*cup, TrackStatus.TRACKED)))
    log.update(result())
    assert logger.lines == ["track 1 begins: mug", "track 2 begins: cup", "track 1 ends: mug", "track 2 ends: cup"]
