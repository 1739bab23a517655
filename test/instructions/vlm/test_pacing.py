# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The pace of requests: the Retry-After header, and pauses that grow."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from lang2segtrack_ros.instructions.vlm.model import VlmClosedError, VlmError
from lang2segtrack_ros.instructions.vlm.pacing import MAX_PAUSE_S, MAX_RETRY_AFTER_S, Pacing, parse_retry_after


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
    for failures, seconds in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (20, MAX_PAUSE_S)):
        for limit, is_held_back in ((0.8 * seconds, True), (1.2 * seconds, False)):
            closed = threading.Event()
            pacing = Pacing(6000, limit, closed)
            for number in range(failures):
                pacing.failed(f"failure {number}")
            closed.set()  # a wait ends at once
            with pytest.raises(VlmError) as raised:
                pacing.take_turn()
            assert isinstance(raised.value, VlmClosedError) is not is_held_back
            assert is_held_back is (str(raised.value) == f"failure {failures - 1}"), "the same sentence again, which is no news"
            assert (pacing.failures, pacing.held_back) == (failures, int(is_held_back))
    pacing = Pacing(6000, 0.0, threading.Event())
    pacing.failed("busy", 100.0)
    pacing.succeeded()
    pacing.take_turn()


def test_server_cannot_ask_for_days() -> None:
    """A wrong clock of the server must not end the service."""
    closed = threading.Event()
    pacing = Pacing(6000, MAX_RETRY_AFTER_S, closed)
    pacing.failed("busy", 1e9)
    closed.set()
    with pytest.raises(VlmClosedError):
        pacing.take_turn()
    assert not pacing.held_back


def test_rate_beyond_the_limit_is_refused() -> None:
    """An image that waits too long is out of date."""
    pacing = Pacing(1, 5.0, threading.Event())
    pacing.take_turn()
    with pytest.raises(VlmError, match="the next request is not due within 5 s: raise vlm_max_requests_per_min"):
        pacing.take_turn()


def test_closing_ends_a_wait() -> None:
    """The next turn is 60 s away, and nobody waits for it."""
    closed = threading.Event()
    pacing = Pacing(1, 100.0, closed)
    pacing.take_turn()
    threading.Timer(0.1, closed.set).start()
    with pytest.raises(VlmClosedError):
        pacing.take_turn()
