# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Poses between two stamps, and what is kept of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.motion_history import KEPT_NS, MotionHistory

SECOND = 1_000_000_000


def turned(degrees: float, x: float) -> RigidTransform:
    return RigidTransform(Rotation.from_euler("z", degrees, degrees=True).as_matrix(), np.array([x, 0.0, 0.0]))


def test_pose_between_two_stamps_is_interpolated() -> None:
    """A camera that turns at a constant rate: a quarter of the time is a quarter of the angle and of the way."""
    history = MotionHistory()
    history.add(0, turned(0.0, 0.0))
    history.add(SECOND, turned(80.0, 2.0))
    pose = history.at(SECOND // 4)
    assert pose.translation == pytest.approx([0.5, 0.0, 0.0])
    assert pose.rotation == pytest.approx(turned(20.0, 0.0).rotation)
    assert history.at(SECOND).translation == pytest.approx([2.0, 0.0, 0.0])


def test_old_poses_are_forgotten() -> None:
    """Nothing grows with the stream."""
    history = MotionHistory()
    for index in range(300):
        history.add(index * SECOND // 10, turned(0.0, float(index)))
    assert history.newest_ns - history.oldest_ns == KEPT_NS


def test_clock_that_jumps_back_starts_anew() -> None:
    """A simulation that starts again must not be refused for ever; a late repeat of an old pose must change nothing."""
    history = MotionHistory()
    history.add(50 * SECOND, turned(0.0, 1.0))
    history.add(50 * SECOND - 1000, turned(0.0, 9.0))
    assert history.at(50 * SECOND).translation[0] == 1.0
    history.add(SECOND, turned(0.0, 2.0))
    assert (history.oldest_ns, history.newest_ns) == (SECOND, SECOND)
