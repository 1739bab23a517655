# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms over time: interpolation, and each case in which there is no transform."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.transform_buffer import KEPT_NS, NS, TransformBuffer, TransformError


def pose(x: float, yaw: float = 0.0) -> RigidTransform:
    return RigidTransform.from_quaternion((0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)), (x, 0.0, 0.0))


def robot() -> TransformBuffer:
    """Return a robot that drives 0.2 m and turns by 0.2 rad in 0.2 s, with a camera 1 m above its base."""
    buffer = TransformBuffer()
    buffer.add("base", "camera", 0, RigidTransform(np.eye(3), np.array([0.0, 0.0, 1.0])), is_static=True)
    buffer.add("odom", "base", 10 * NS, pose(1.0, 0.1))
    buffer.add("odom", "base", 10 * NS + NS // 5, pose(1.2, 0.3))
    return buffer


def test_a_pose_between_two_transforms_is_interpolated() -> None:
    """Half of the way, and half of the turn; the static part does not depend on time."""
    found = robot().at("camera", "odom", 10 * NS + NS // 10)
    assert found.translation == pytest.approx([1.1, 0.0, 1.0])
    assert found.rotation == pytest.approx(pose(0.0, 0.2).rotation)
    back = robot().at("odom", "camera", 10 * NS + NS // 10)
    assert back.after(found).translation == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize(
    ("target", "stamp", "reason", "may_come"),
    [
        ("odom", 10 * NS + NS // 4, "tf_late", True),  # nothing is extrapolated
        ("odom", 9 * NS, "tf_too_old", False),
        ("map", 10 * NS, "tf_missing", True),
    ],
)
def test_a_transform_that_is_not_known(target: str, stamp: int, reason: str, may_come: bool) -> None:
    """The reason says whether waiting helps."""
    with pytest.raises(TransformError) as caught:
        robot().at("camera", target, stamp)
    assert (caught.value.reason, caught.value.may_come) == (reason, may_come)


def test_nothing_is_interpolated_across_a_jump() -> None:
    """Before and after the jump, the poses hold."""
    buffer = robot()
    buffer.add("odom", "base", 10 * NS + NS // 2, pose(5.0, 0.3))
    with pytest.raises(TransformError, match=r"base jumped in odom by 3.80 m"):
        buffer.at("base", "odom", 10 * NS + NS // 3)
    assert buffer.at("base", "odom", 10 * NS + NS // 2).translation[0] == 5.0
    buffer.add("odom", "base", 10 * NS + 3 * NS // 5, pose(5.0, 2.5))
    with pytest.raises(TransformError, match=r"2.20 rad"):
        buffer.at("base", "odom", 10 * NS + 11 * NS // 20)


def test_the_latest_transform_needs_no_time() -> None:
    """A correction of the fixed frame holds until the next one."""
    assert robot().latest("camera", "odom").translation == pytest.approx([1.2, 0.0, 1.0])


def test_memory_is_bounded_and_a_clock_that_starts_anew_clears_it() -> None:
    """A simulation was reset: the old transforms belong to another time."""
    buffer = robot()
    for second in range(11, 41):
        buffer.add("odom", "base", second * NS, pose(1.2, 0.3))
    with pytest.raises(TransformError, match="oldest transform"):
        buffer.at("base", "odom", 39 * NS - KEPT_NS - NS)
    buffer.add("odom", "base", 2 * NS, pose(0.0))
    assert buffer.at("camera", "odom", 2 * NS).translation == pytest.approx([0.0, 0.0, 1.0])
    with pytest.raises(TransformError, match="older than the image"):
        buffer.at("base", "odom", 30 * NS)


def test_transforms_may_arrive_in_another_order() -> None:
    """UDP does not keep the order."""
    buffer = TransformBuffer()
    for stamp, x in ((NS, 0.1), (3 * NS, 0.3), (2 * NS, 0.2)):
        buffer.add("odom", "base", stamp, pose(x))
    assert buffer.at("base", "odom", 5 * NS // 2).translation[0] == pytest.approx(0.25)


def test_a_loop_of_frames_ends() -> None:
    """Wrong transforms must not hang the node."""
    buffer = TransformBuffer()
    buffer.add("a", "b", NS, pose(1.0))
    buffer.add("b", "a", NS, pose(1.0))
    with pytest.raises(TransformError, match="connect b with map"):
        buffer.at("b", "map", NS)
