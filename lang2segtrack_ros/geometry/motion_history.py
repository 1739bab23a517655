# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Past poses of frames, and the pose between two of them."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from lang2segtrack_ros.geometry.alignment import RigidTransform

KEPT_NS = 10_000_000_000
"""Older poses are forgotten."""
MAX_POSES = 5_000
CLOCK_JUMP_NS = 1_000_000_000
"""A pose that is older than the newest by more belongs to a clock that jumped back, such as a simulation that starts again."""


class MotionHistory:
    """The poses of one frame in its parent by time."""

    def __init__(self) -> None:
        self._poses: deque[tuple[int, RigidTransform]] = deque(maxlen=MAX_POSES)

    @property
    def newest_ns(self) -> int:
        """Stamp of the newest pose in nanoseconds."""
        return self._poses[-1][0]

    @property
    def oldest_ns(self) -> int:
        """Stamp of the oldest pose in nanoseconds."""
        return self._poses[0][0]

    def add(self, stamp_ns: int, pose: RigidTransform) -> None:
        """Keep a pose. Ignore one that is not newer than the newest, unless the clock jumped back."""
        if self._poses and stamp_ns < self.newest_ns - CLOCK_JUMP_NS:
            self._poses.clear()
        if self._poses and stamp_ns <= self.newest_ns:
            return
        self._poses.append((stamp_ns, pose))
        while self._poses[0][0] < stamp_ns - KEPT_NS:
            self._poses.popleft()

    def at(self, stamp_ns: int) -> RigidTransform:
        """Return the pose at a time: linear in the translation, spherical in the rotation between two poses.

        Args:
            stamp_ns: nanoseconds, from `oldest_ns` to `newest_ns`.
        """
        poses = list(self._poses)
        index = bisect_left(poses, stamp_ns, key=lambda item: item[0])
        end_ns, end = poses[index]
        if end_ns == stamp_ns:
            return end
        start_ns, start = poses[index - 1]
        return interpolate(start, end, (stamp_ns - start_ns) / (end_ns - start_ns))


def interpolate(start: RigidTransform, end: RigidTransform, share: float) -> RigidTransform:
    """Return the transform between two.

    Args:
        start: the transform at share 0.
        end: the transform at share 1.
        share: 0 to 1.
    """
    rotation = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack((start.rotation, end.rotation))))(share).as_matrix()
    return RigidTransform(rotation, (1 - share) * start.translation + share * end.translation)
