# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A file of JSON lines that is read at any line. Memory holds the offset of each line only."""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class LineError(ValueError):
    """A line that is not what it should be. The message names the file and the line."""


class JsonLines:
    """The lines of a file, by their position from 0. Any thread may read.

    Args:
        path: the file.

    Attributes:
        path: the file.

    Raises:
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ends = array("q", [0])
        self._digest = hashlib.sha256()
        self._file = path.open("rb")

    def scan(self) -> Iterator[dict[str, Any]]:
        """Yield all lines in order, once, before any other call. Raises LineError for a line that is no JSON object."""
        for line in self._file:
            self._digest.update(line)
            self._ends.append(self._ends[-1] + len(line))
            yield self._value(len(self) - 1, line)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def digest(self) -> str:
        """Return the first 16 digits of the SHA-256 of the file."""
        return self._digest.hexdigest()[:16]

    def read(self, number: int) -> dict[str, Any]:
        """Return a line. Raises LineError if the file has changed, and IndexError for a line that the file does not have."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        begin, end = self._ends[number], self._ends[number + 1]
        return self._value(number, os.pread(self._file.fileno(), end - begin, begin))

    def error(self, number: int, reason: object) -> LineError:
        """Return the error of a line.

        Args:
            number: position of the line, from 0.
            reason: what is wrong.
        """
        text = f"it has no {reason}" if isinstance(reason, KeyError) else str(reason)
        return LineError(f"line {number + 1} of {self.path} cannot be read ({text}): track again, or repair the line")

    def _value(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.error(number, error) from error
        if not isinstance(value, dict):
            raise self.error(number, "it is no JSON object")
        return value

    def close(self) -> None:
        """Close the file."""
        self._file.close()
