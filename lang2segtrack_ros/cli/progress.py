# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Progress of a command, with rate and remaining time, drawn by tqdm."""

from __future__ import annotations

import sys

from tqdm import tqdm

TERMINAL_S, LOG_S = 0.5, 30.0
"""Minimum time between two lines, on a terminal and in a file."""


class ProgressLine:
    """A progress line on stderr. A terminal shows one line that changes; other outputs get a new line now and then.

    As a context manager, it ends the line also after an error.
    """

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Report the progress of a stage. Call the method for every image.

        Args:
            stage: name of the stage.
            done: number of images done.
            total: number of all images, None if unknown.
        """
        if self._bar is None or stage != self._stage:
            self.end()
            is_terminal = sys.stderr.isatty()
            self._stage = stage
            # Without "\r" between them, the lines of a log file can be read.
            self._bar = tqdm(
                desc=stage,
                total=total,
                initial=done,
                unit=" images",
                file=sys.stderr if is_terminal else _Lines(),
                mininterval=TERMINAL_S if is_terminal else LOG_S,
                maxinterval=LOG_S,
                dynamic_ncols=is_terminal,
            )
        step = done - self._bar.n
        if step > 1:  # these images needed no work, so they do not count for the rate
            self._bar.initial += step
        self._bar.update(step)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the line of the current stage."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


class _Lines:
    """Standard error for a bar whose states stand on lines of their own."""

    def write(self, text: str) -> None:
        """Write a state as a line."""
        text = text.strip("\r\n ")
        if text:
            print(text, file=sys.stderr)

    def flush(self) -> None:
        """Flush the lines."""
        sys.stderr.flush()
