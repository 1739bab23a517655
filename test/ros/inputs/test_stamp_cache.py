# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Look-up of messages by stamp, independent of the order of arrival."""

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
    ("seconds", "expected"),
    [(1.0, 1.0), (1.015, 1.0), (1.05, None), (0.0, None), (1.085, 1.1), (5.0, None)],
)
def test_nearest_message_is_found_within_slop(seconds: float, expected: float | None) -> None:
    cache = StampCache(5)
    for stamp in (1.1, 1.0, 1.2):  # out of order, as best-effort messages may arrive
        cache.add(at(stamp))
    assert found(cache, seconds) == expected


def test_oldest_arrival_is_dropped() -> None:
    cache = StampCache(2)
    for seconds in (1.0, 2.0, 3.0):
        cache.add(at(seconds))
    assert [found(cache, seconds) for seconds in (1.0, 2.0, 3.0)] == [None, 2.0, 3.0]


def test_looping_bag_replaces_old_stamps() -> None:
    """After the clock jumps back, messages with later stamps must not block new ones."""
    cache = StampCache(2)
    for seconds in (100.0, 101.0, 1.0, 2.0):
        cache.add(at(seconds))
    assert found(cache, 2.0) == 2.0


def test_latest_arrival_wins_for_equal_stamps() -> None:
    """A camera without a clock, or a stopped simulation clock, repeats one stamp."""
    cache = StampCache(16)
    for number in range(30):
        cache.add(SimpleNamespace(header=SimpleNamespace(stamp=Time(seconds=1.0).to_msg()), number=number))
    assert cache.nearest(Time(seconds=1.0).to_msg(), 0.02).number == 29
