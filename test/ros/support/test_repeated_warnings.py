# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Warnings that repeat."""

from __future__ import annotations

from lang2segtrack_ros.ros.support.repeated_warnings import LONGEST_PAUSE_S, RepeatedWarnings


class Log:
    """The logged sentences with their times, and a clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.times: list[float] = []
        self.warn = RepeatedWarnings(lambda _: self.times.append(self.now), lambda: self.now)

    def run(self, seconds: int, cause: str = "silent") -> list[float]:
        """Warn twice a second, as the watchdog does. Return the times of the logged warnings."""
        self.times = []
        for _ in range(2 * seconds):
            self.warn(cause, "no image")
            self.now += 0.5
        return self.times


def test_pauses_double_up_to_the_longest_one() -> None:
    """A camera that is off for a night must not fill the log."""
    log = Log()
    assert log.run(100) == [0.0, 5.0, 15.0, 35.0, 75.0]
    assert len(log.run(3600)) <= 3600 / LONGEST_PAUSE_S + 2


def test_causes_are_independent() -> None:
    log = Log()
    log.run(1, "silent")
    assert log.run(1, "clock") == [1.0]


def test_cleared_cause_warns_at_once() -> None:
    """After images have come back, their next absence is news."""
    log = Log()
    log.run(60)
    assert log.warn.clear("silent")
    assert not log.warn.clear("silent")
    assert log.run(6) == [60.0, 65.0]


def test_cause_that_was_away_for_long_starts_again() -> None:
    log = Log()
    log.run(60)
    log.now += 10 * LONGEST_PAUSE_S
    start = log.now
    assert log.run(6) == [start, start + 5]
