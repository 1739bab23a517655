# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Latency of results when clocks do not belong together."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.ros.support.latency import Latency

NOW = 1_790_000_000_000_000_000
HOUR = 3600 * 1_000_000_000


@pytest.mark.parametrize(
    ("now", "stamp", "text", "problem"),
    [
        (NOW, NOW - 25_000_000, "25.0", ""),
        (NOW, NOW + 3_000_000, "-3.0", ""),  # clocks of two machines differ a little
        (NOW, NOW - HOUR // 2, "1800000.0", ""),
        (0, NOW, "unknown", "use_sim_time is true, but no clock arrives on /clock"),
        (NOW, NOW - 48 * HOUR, "unknown", "the stamps of the images lie 48.0 hours before the node's clock"),
        (NOW, NOW + 2 * HOUR, "unknown", "the stamps of the images lie 2.0 hours after the node's clock"),
    ],
)
def test_latency_is_known_only_with_matching_clocks(now: int, stamp: int, text: str, problem: str) -> None:
    latency = Latency()
    latency.measure(now, stamp)
    assert latency.text == text
    assert latency.problem.startswith(problem)
    assert bool(latency.problem) == bool(problem)


def test_problem_is_reported_once_until_it_is_over() -> None:
    """An image stream would fill the log otherwise."""
    latency, warnings = Latency(), []
    assert latency.text == "unknown", "before the first result"
    for now in (NOW, 0, 0, NOW, 0):
        latency.measure(now, NOW)
        latency.warn_once(warnings.append)
    assert len(warnings) == 2
