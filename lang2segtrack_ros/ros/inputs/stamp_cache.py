# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The latest messages of a topic, to be looked up by stamp: message_filters' Cache where it is installed, its like where not."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from rclpy.time import Time

try:
    from message_filters import Cache as _FiltersCache
    from message_filters import SimpleFilter
except ImportError:
    _FiltersCache = None


class Cache(Protocol):
    """The part of message_filters.Cache that is used here."""

    def add(self, msg: Any) -> None:
        """Takes a message with a header; the oldest leaves when the cache is full."""
        ...

    def getElemBeforeTime(self, stamp: Time) -> Any:  # noqa: N802 (the name is message_filters')
        """The newest message at or before a time, None when there is none."""
        ...

    def getElemAfterTime(self, stamp: Time) -> Any:  # noqa: N802
        """The oldest message at or after a time, None when there is none."""
        ...


class StampCache:
    """Stands in for message_filters.Cache; messages are kept in the order of their stamps."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: list[tuple[int, Any]] = []
        self._lock = threading.Lock()

    def add(self, msg: Any) -> None:
        """See `Cache.add`."""
        stamp = Time.from_msg(msg.header.stamp).nanoseconds
        with self._lock:
            self._items.append((stamp, msg))
            if len(self._items) > self._size:
                del self._items[0]

    def getElemBeforeTime(self, stamp: Time) -> Any:  # noqa: N802
        """See `Cache.getElemBeforeTime`."""
        with self._lock:
            older = [item for item in self._items if item[0] <= stamp.nanoseconds]
        return max(reversed(older), key=lambda item: item[0])[1] if older else None  # of equal ones the latest

    def getElemAfterTime(self, stamp: Time) -> Any:  # noqa: N802
        """See `Cache.getElemAfterTime`."""
        with self._lock:
            newer = [item for item in self._items if item[0] >= stamp.nanoseconds]
        return min(newer, key=lambda item: item[0])[1] if newer else None


def make_cache(size: int) -> Cache:
    """A cache of the latest `size` messages."""
    if _FiltersCache is None:
        return StampCache(size)
    cache: Cache = _FiltersCache(SimpleFilter(), size)
    return cache


def nearest(cache: Cache, stamp: Any, slop_s: float) -> Any:
    """The cached message whose stamp is nearest to `stamp` (builtin_interfaces/Time), None when none is within `slop_s`."""
    if stamp.sec < 0:  # which rclpy's Time cannot be
        return None
    time = Time.from_msg(stamp)
    candidates = [msg for msg in (cache.getElemBeforeTime(time), cache.getElemAfterTime(time)) if msg is not None]

    def distance(msg: Any) -> int:
        return abs(int(Time.from_msg(msg.header.stamp).nanoseconds) - int(time.nanoseconds))

    best = min(candidates, key=distance, default=None)
    return best if best is not None and distance(best) <= slop_s * 1e9 else None
