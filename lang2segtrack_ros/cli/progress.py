# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Progress line of a command, with rate and remaining time."""

from __future__ import annotations

import sys
import time

_MIN_RATE_TIME_S = 0.5
"""Minimum duration of a stage for a rate. A shorter stage had no work, and its rate would be meaningless."""


class ProgressLine:
    """A progress line on stderr. A terminal shows one line that changes every second; other outputs get a new line every 30 s."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._started_at = self._printed_at = 0.0
        self._first_image = 0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report the progress of a stage. Call the method for every image.

        Args:
            stage: name of the stage.
            done: number of images done.
            total: number of all images, None if unknown.
        """
        now = time.monotonic()
        if stage != self._stage:
            self.end()
            self._stage, self._started_at, self._printed_at, self._first_image = stage, now, 0.0, done
        if done != total and now - self._printed_at < (1.0 if self._terminal else 30.0):
            return
        self._printed_at = now
        elapsed = now - self._started_at
        rate = (done - self._first_image) / elapsed if elapsed >= _MIN_RATE_TIME_S else 0.0
        line = f"{stage}: {done}" + (f" of {total} images" if total else " images")
        if rate > 0:
            line += f", {rate:.1f} per second"
            if total and total > done:
                line += f", about {_duration((total - done) / rate)} left"
        print(f"\r\033[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line of the current stage."""
        if self._terminal and self._stage:
            print(file=sys.stderr, flush=True)
        self._stage = ""


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min" if whole < 6000 else f"{whole / 3600:.1f} h"
