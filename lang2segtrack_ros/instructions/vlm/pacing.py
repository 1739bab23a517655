# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The pace of requests to a server: an even rate, and pauses after failures."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError

FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
MAX_RETRY_AFTER_S = 3600.0
"""Longest pause that a server may ask for, in seconds."""


class Pacing:
    """The times at which requests may be sent. Any thread may call it.

    Args:
        per_minute: maximum number of requests in a minute. They are evenly spaced.
        max_wait_s: longest time to wait for a turn, in seconds. An image that waits longer is too old.
        closed: event that ends every wait.

    Attributes:
        held_back: number of requests that were refused, because their turn was too far away.
        failures: number of failures so far.
    """

    def __init__(self, per_minute: int, max_wait_s: float, closed: threading.Event) -> None:
        self._spacing = 60.0 / per_minute
        self._max_wait = max_wait_s
        self._closed = closed
        self._lock = threading.Lock()
        self._next_turn = 0.0
        self._resume = 0.0
        self._reason = ""
        self._failures_in_a_row = 0
        self.held_back = 0
        self.failures = 0

    def take_turn(self) -> None:
        """Wait until a request may be sent.

        Raises:
            VlmError: the turn is further away than `max_wait_s`. After a failure, the message is that of the failure.
            VlmClosedError: `closed` is set.
        """
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turn, self._resume)
            if turn - now > self._max_wait:
                self.held_back += 1
                if self._resume >= self._next_turn:
                    raise VlmError(self._reason)  # the same sentence again is no news for the user
                raise VlmError(
                    f"the next request is not due within {self._max_wait:g} s: raise vlm_max_requests_per_min, or check fewer instructions"
                )
            self._next_turn = turn + self._spacing
        if self._closed.wait(turn - now):
            raise VlmClosedError("the vision-language model is closed")

    def succeeded(self) -> None:
        """End the pauses after failures."""
        with self._lock:
            self._failures_in_a_row = 0
            self._resume = 0.0

    def failed(self, reason: str, retry_after_s: float | None = None) -> None:
        """Pause after a failure: twice as long as after the one before, or as long as the server asks for.

        Args:
            reason: the failure, as a sentence.
            retry_after_s: pause that the server asks for, in seconds. None if it asks for none.
        """
        with self._lock:
            self.failures += 1
            self._reason = reason
            pause = min(FIRST_PAUSE_S * 2.0 ** min(self._failures_in_a_row, 10), MAX_PAUSE_S)
            self._failures_in_a_row += 1
            self._resume = time.monotonic() + (pause if retry_after_s is None else min(retry_after_s, MAX_RETRY_AFTER_S))


def parse_retry_after(value: str | None) -> float | None:
    """Return the pause of a Retry-After header in seconds (RFC 9110, section 10.2.3), or None without a valid one.

    Args:
        value: the header: a number of seconds or a date.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=timezone.utc)
    return max((date - datetime.now(timezone.utc)).total_seconds(), 0.0)
