# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames over time: the transform at the time of an image, or the reason why not.

Nothing is extrapolated, and nothing is interpolated across a jump: a robot does not pass through the poses in between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from lang2segtrack_ros.geometry.alignment import RigidTransform

NS = 1_000_000_000
KEPT_NS = 10 * NS
CLOCK_JUMP_NS = 5 * NS
"""A stamp this far before the newest one means that the clock started anew."""
JUMP_M, SPEED_M_S = 0.1, 3.0
JUMP_RAD, SPEED_RAD_S = 0.1, 6.0
"""Consecutive transforms that differ by more than a jump plus this speed are not connected by a motion."""


class TransformError(LookupError):
    """A transform that is not known. The message says why.

    Attributes:
        reason: "tf_missing", "tf_late", "tf_too_old" or "tf_jump".
        may_come: True if a later message may bring it.
    """

    def __init__(self, reason: str, sentence: str, may_come: bool = False) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.may_come = may_come


@dataclass
class _Edge:
    """Transforms of a frame in its parent, by time."""

    parent: str
    is_static: bool
    stamps: deque[int] = field(default_factory=deque)
    motions: deque[RigidTransform] = field(default_factory=deque)


class TransformBuffer:
    """Transforms of the last seconds, without ROS.

    Attributes:
        newest_ns: newest stamp of a moving transform, nanoseconds.
    """

    def __init__(self) -> None:
        self._edges: dict[str, _Edge] = {}
        self.newest_ns = 0

    def add(self, parent: str, child: str, stamp: int, motion: RigidTransform, is_static: bool = False) -> None:
        """Store the transform of a frame in its parent.

        Args:
            parent: frame that the transform maps to.
            child: frame that it maps from.
            stamp: time in nanoseconds.
            motion: maps points from `child` to `parent`.
            is_static: True for a transform that holds at any time.
        """
        if not is_static and stamp < self.newest_ns - CLOCK_JUMP_NS:
            self._edges = {name: edge for name, edge in self._edges.items() if edge.is_static}
            self.newest_ns = 0
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.is_static or is_static:
            edge = self._edges[child] = _Edge(parent, is_static)
        index = bisect_left(edge.stamps, stamp)
        if index < len(edge.stamps) and edge.stamps[index] == stamp:
            edge.motions[index] = motion
        else:
            edge.stamps.insert(index, stamp)
            edge.motions.insert(index, motion)
        if not is_static:
            self.newest_ns = max(self.newest_ns, stamp)
            while edge.stamps[0] < edge.stamps[-1] - KEPT_NS:
                edge.stamps.popleft()
                edge.motions.popleft()

    def at(self, source: str, target: str, stamp: int) -> RigidTransform:
        """Return the transform of points from a frame to another one at a time.

        Args:
            source: frame of the points.
            target: frame that they are transformed to.
            stamp: time in nanoseconds.

        Raises:
            TransformError: the transform is not known.
        """
        return self._find(source, target, stamp)

    def latest(self, source: str, target: str) -> RigidTransform:
        """Return the newest transform of points from a frame to another one.

        Raises:
            TransformError: no received transforms connect the frames.
        """
        return self._find(source, target, None)

    def _find(self, source: str, target: str, stamp: int | None) -> RigidTransform:
        ups, downs = self._chain(source), self._chain(target)
        common = next((name for name in ups if name in downs), None)
        if common is None:
            raise TransformError(
                "tf_missing",
                f"no transforms on /tf and /tf_static connect {source} with {target}: start the nodes that publish them, or set other "
                "frames",
                may_come=True,
            )
        up, down = self._product(ups[: ups.index(common)], stamp), self._product(downs[: downs.index(common)], stamp)
        return down.inverse().after(up)

    def _chain(self, name: str) -> list[str]:
        names = [name]
        while names[-1] in self._edges and self._edges[names[-1]].parent not in names:  # a loop of frames has no root
            names.append(self._edges[names[-1]].parent)
        return names

    def _product(self, names: list[str], stamp: int | None) -> RigidTransform:
        motion = RigidTransform.identity()
        for name in names:
            edge = self._edges[name]
            step = edge.motions[-1] if stamp is None or edge.is_static else _at(edge, name, stamp)
            motion = step.after(motion)
        return motion


def _at(edge: _Edge, name: str, stamp: int) -> RigidTransform:
    index = bisect_left(edge.stamps, stamp)
    if index == len(edge.stamps):
        late = (stamp - edge.stamps[-1]) / 1e6
        newest = f"the newest transform of {name} in {edge.parent} is {late:.0f} ms older than the image"
        raise TransformError("tf_late", f"{newest}: raise tf_wait_s, or check its rate", may_come=True)
    if edge.stamps[index] == stamp:
        return edge.motions[index]
    if index == 0:
        raise TransformError("tf_too_old", f"the oldest transform of {name} in {edge.parent} is newer than the image: check the clocks")
    before, after = edge.motions[index - 1], edge.motions[index]
    start, end = edge.stamps[index - 1], edge.stamps[index]
    seconds = (end - start) / NS
    distance = float(np.linalg.norm(after.translation - before.translation))
    rotations = Rotation.from_matrix(np.stack([before.rotation, after.rotation]))
    angle = float((rotations[0].inv() * rotations[1]).magnitude())
    if distance > JUMP_M + SPEED_M_S * seconds or angle > JUMP_RAD + SPEED_RAD_S * seconds:
        sentence = f"{name} jumped in {edge.parent} by {distance:.2f} m and {angle:.2f} rad within {seconds:.2f} s around the image"
        raise TransformError("tf_jump", sentence)
    share = (stamp - start) / (end - start)
    rotation = Slerp([0.0, 1.0], rotations)(share).as_matrix()
    return RigidTransform(rotation, before.translation * (1 - share) + after.translation * share)
