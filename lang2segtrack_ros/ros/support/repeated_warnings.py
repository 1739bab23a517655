# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Warnings of a node that may repeat for hours: the first one at once, further ones less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 300.0


class RepeatedWarnings:
    """Warnings by cause. The pause after each warning of a cause doubles, until `clear` is called for it.

    Args:
        log: logs a sentence as a warning.
        clock: returns the time in seconds.
    """

    def __init__(self, log: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._next: dict[str, tuple[float, float]] = {}  # time of the next warning, and the pause after it

    def __call__(self, cause: str, sentence: str) -> None:
        """Log a sentence, unless its cause was reported recently. Counters of the node include every occurrence.

        Args:
            cause: short name of the cause.
            sentence: what happened and what to do.
        """
        now = self._clock()
        due, pause = self._next.get(cause, (now, FIRST_PAUSE_S))
        if now >= due:
            if now - due > LONGEST_PAUSE_S:  # the cause was away for a long time
                pause = FIRST_PAUSE_S
            self._next[cause] = now + pause, min(2 * pause, LONGEST_PAUSE_S)
            self._log(sentence)

    def clear(self, cause: str) -> bool:
        """Report the next warning of a cause at once. Return True if there was one since the last call."""
        return self._next.pop(cause, None) is not None
