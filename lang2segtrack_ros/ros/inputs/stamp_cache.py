# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Cache of the latest messages of a topic, searched by stamp."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from lang2segtrack_ros.io.image_messages import stamp_ns


class StampCache:
    """The latest messages of a topic in the order of arrival. Safe to use from several threads.

    Args:
        size: maximum number of messages. The cache drops the oldest arrival first, so a clock that jumps back blocks no new message.
    """

    def __init__(self, size: int) -> None:
        self._messages: deque[tuple[int, Any]] = deque(maxlen=size)
        self._lock = threading.Lock()

    def add(self, msg: Any) -> None:
        """Add a message with a header."""
        with self._lock:
            self._messages.append((stamp_ns(msg.header.stamp), msg))

    def nearest(self, stamp: Any, slop_s: float) -> Any:
        """Return the message nearest to a stamp (builtin_interfaces/Time), or None if no message is within `slop_s` seconds.

        Of equally near messages the latest arrival is returned.
        """
        target_ns = stamp_ns(stamp)
        with self._lock:
            messages = list(self._messages)
        best = min(reversed(messages), key=lambda item: abs(item[0] - target_ns), default=None)
        return best[1] if best is not None and abs(best[0] - target_ns) <= slop_s * 1e9 else None
