# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The pace of requests: the Retry-After header, and pauses that grow."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.pacing import MAX_RETRY_AFTER_S, Pacing, parse_retry_after


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), (" 120 ", 120.0), ("9" * 400, 999999999.0), (None, None), ("soon", None), ("-1", None), ("", None)]
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    """Servers send anything."""
    assert parse_retry_after(value) == seconds


def test_retry_after_as_date() -> None:
    """The header may be a date; one in the past is no pause."""
    later = datetime.now(timezone.utc) + timedelta(seconds=100)
    assert parse_retry_after(format_datetime(later, usegmt=True)) == pytest.approx(100, abs=5)
    assert parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


def test_pauses_double_and_end_with_success() -> None:
    """A server that restarts is not flooded, and one success is enough to go on."""
    pacing = Pacing(6000, 0.0, threading.Event())
    for number, seconds in enumerate(("1 s", "2 s", "4 s", "8 s")):
        pacing.failed(f"failure {number}")
        with pytest.raises(VlmError, match=f"is possible in {seconds}, because the last one failed: failure {number}"):
            pacing.take_turn()
    for _ in range(20):
        pacing.failed("again")
    with pytest.raises(VlmError, match="is possible in 60 s"):
        pacing.take_turn()
    assert (pacing.failures, pacing.held_back) == (24, 5)
    pacing.succeeded()
    pacing.take_turn()


def test_server_cannot_ask_for_days() -> None:
    """A wrong clock of the server must not end the service."""
    pacing = Pacing(6000, 0.0, threading.Event())
    pacing.failed("busy", 1e9)
    with pytest.raises(VlmError, match=f"is possible in {MAX_RETRY_AFTER_S:.0f} s"):
        pacing.take_turn()


def test_rate_beyond_the_limit_is_refused() -> None:
    """An image that waits too long is out of date."""
    pacing = Pacing(1, 5.0, threading.Event())
    pacing.take_turn()
    with pytest.raises(VlmError, match="vlm_max_requests_per_min allows the next request in 60 s"):
        pacing.take_turn()


def test_closing_ends_a_wait() -> None:
    """The next turn is 60 s away, and nobody waits for it."""
    closed = threading.Event()
    pacing = Pacing(1, 100.0, closed)
    pacing.take_turn()
    threading.Timer(0.1, closed.set).start()
    with pytest.raises(VlmClosedError):
        pacing.take_turn()
