# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Output streams that never fail, so that a closed pipe or a full disk behind stdout ends no run."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO, cast


class SafeStream:
    """A text stream whose errors are dropped. After an error it writes nothing more.

    Characters that the encoding lacks are written as escapes.

    Args:
        stream: the stream, such as `sys.stdout`.

    Attributes:
        is_broken: True after an error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_broken = False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        if not self.is_broken:
            try:
                self._stream.write(text)
            except (OSError, ValueError):  # ValueError: the stream is closed
                self._break()
        return len(text)

    def flush(self) -> None:
        """Write what the stream holds back."""
        if not self.is_broken:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._break()

    def _break(self) -> None:
        """Direct the rest to nowhere. The interpreter flushes the stream once more when it ends, which must not fail."""
        self.is_broken = True
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """Make printing safe: within the context, neither stdout nor stderr raises."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, SafeStream(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before
