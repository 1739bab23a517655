# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Streams with their own rates, read at the constant rate of a dataset: the latest value at each time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LatestValue(Generic[Value]):
    """The latest value of a stream at rising times. It keeps two values.

    Args:
        stream: time in nanoseconds and value, with rising times.

    Attributes:
        stamp: time of the latest value in nanoseconds.
        value: the latest value.
        has_ended: True if the stream has no later value.

    Raises:
        ValueError: the stream is empty.
    """

    def __init__(self, stream: Iterator[tuple[int, Value]]) -> None:
        self._stream = stream
        first = next(stream, None)
        if first is None:
            raise ValueError("the stream is empty")
        self.stamp, self.value = first
        self._next = next(stream, None)

    @property
    def has_ended(self) -> bool:
        """Return True if the stream has no later value."""
        return self._next is None

    def advance(self, time_ns: int) -> bool:
        """Go to the latest value at a time. Return False if all values are later.

        Args:
            time_ns: the time in nanoseconds, not before that of the previous call.
        """
        while self._next is not None and self._next[0] <= time_ns:
            self.stamp, self.value = self._next
            self._next = next(self._stream, None)
        return self.stamp <= time_ns
