# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth is found by stamp, whatever came when."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from builtin_interfaces.msg import Time as TimeMsg
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from lang2segtrack_ros.ros.inputs.stamp_cache import StampCache


def at(seconds: float) -> Image:
    return Image(header=Header(stamp=Time(nanoseconds=round(seconds * 1e9)).to_msg()))


def found(cache: StampCache, seconds: float, slop: float = 0.02) -> float | None:
    stamp: TimeMsg = at(seconds).header.stamp
    message = cache.nearest(stamp, slop)
    return None if message is None else Time.from_msg(message.header.stamp).nanoseconds / 1e9


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [(1.0, 1.0), (1.015, 1.0), (1.05, None), (0.0, None), (1.085, 1.1), (5.0, None)],
)
def test_nearest_within_the_slop(wanted: float, expected: float | None) -> None:
    cache = StampCache(5)
    for seconds in (1.1, 1.0, 1.2):  # out of order, as over best effort
        cache.add(at(seconds))
    assert found(cache, wanted) == expected


def test_the_oldest_leaves() -> None:
    cache = StampCache(2)
    for seconds in (1.0, 2.0, 3.0):
        cache.add(at(seconds))
    assert [found(cache, seconds) for seconds in (1.0, 2.0, 3.0)] == [None, 2.0, 3.0]


def test_a_bag_that_loops() -> None:
    """After a jump back old stamps must not keep new ones out."""
    cache = StampCache(2)
    for seconds in (100.0, 101.0, 1.0, 2.0):
        cache.add(at(seconds))
    assert found(cache, 2.0) == 2.0


def test_of_equal_stamps_the_latest_is_taken() -> None:
    """As of a camera without a clock, or under simulated time that stands still."""
    cache = StampCache(16)
    for number in range(30):
        cache.add(SimpleNamespace(header=SimpleNamespace(stamp=Time(seconds=1.0).to_msg()), number=number))
    assert cache.nearest(Time(seconds=1.0).to_msg(), 0.02).number == 29
