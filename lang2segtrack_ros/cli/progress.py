# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One line that says how far a command is and when it will be done."""

from __future__ import annotations

import sys
import time

_TELLING_S = 0.5
"""What is done sooner had nothing to do: its rate would say nothing."""


class ProgressLine:
    """Writes to stderr: on a terminal one line that changes once a second, elsewhere a new line every half minute."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._began = self._told = 0.0
        self._first = 0

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Called for every image."""
        now = time.monotonic()
        if stage != self._stage:
            self.end()
            self._stage, self._began, self._told, self._first = stage, now, 0.0, done
        if done != total and now - self._told < (1.0 if self._terminal else 30.0):
            return
        self._told = now
        taken = now - self._began
        rate = (done - self._first) / taken if taken >= _TELLING_S else 0.0
        line = f"{stage}: {done}" + (f" of {total} images" if total else " images")
        if rate > 0:
            line += f", {rate:.1f} a second"
            if total and total > done:
                line += f", about {_duration((total - done) / rate)} to go"
        print(f"\r\033[K{line}" if self._terminal else line, end="" if self._terminal else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leaves the line as it stands."""
        if self._terminal and self._stage:
            print(file=sys.stderr, flush=True)
        self._stage = ""


def _duration(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole} s" if whole < 100 else f"{whole // 60} min" if whole < 6000 else f"{whole / 3600:.1f} h"
