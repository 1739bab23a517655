# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Time from the stamp of an image to its result, on a node's clock."""

from __future__ import annotations

import math
from collections.abc import Callable

MAX_DIFFERENCE_S = 3600.0
"""Difference between stamps and the clock from which both do not belong together, such as the wall clock and an old bag."""


class Latency:
    """The latency of the last result.

    Attributes:
        seconds: the latency. NaN while it is unknown.
        problem: sentence on why the latency is unknown. Empty if it is known, and before the first result.
    """

    def __init__(self) -> None:
        self.seconds = math.nan
        self.problem = ""
        self._warned = False

    def measure(self, now_ns: int, stamp_ns: int) -> None:
        """Measure the latency of a result.

        Args:
            now_ns: time of the node's clock in nanoseconds. 0 while simulated time waits for the first message on /clock.
            stamp_ns: stamp of the image in nanoseconds.
        """
        seconds = (now_ns - stamp_ns) / 1e9
        if now_ns == 0:
            self.problem = (
                "use_sim_time is true, but no clock arrives on /clock: play the bag with --clock, start the simulator, "
                "or set use_sim_time to false"
            )
        elif abs(seconds) > MAX_DIFFERENCE_S:
            direction = "before" if seconds > 0 else "after"
            self.problem = (
                f"the stamps of the images lie {abs(seconds) / 3600:.1f} hours {direction} the node's clock: set the camera's clock, "
                "or play the bag with --clock and set use_sim_time to true"
            )
        else:
            self.problem = ""
        self.seconds = math.nan if self.problem else seconds

    @property
    def text(self) -> str:
        """Latency in milliseconds for diagnostics."""
        return "unknown" if math.isnan(self.seconds) else f"{1e3 * self.seconds:.1f}"

    def warn_once(self, warn: Callable[[str], object]) -> None:
        """Warn of the problem, once until the latency is known again.

        Args:
            warn: logs a sentence.
        """
        if self.problem and not self._warned:
            warn(self.problem)
        self._warned = bool(self.problem)
