# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Calls that other threads hand to the one thread that owns an object."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Owner = TypeVar("Owner")
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Call(Generic[Owner]):
    """A function of the owned object, and the future that it resolves."""

    function: Callable[[Owner], Any]
    future: Future[Any]

    def run(self, owner: Owner) -> None:
        """Run the function; its result or its exception resolves the future."""
        try:
            self.future.set_result(self.function(owner))
        except Exception as error:  # handed to whoever waits for the future
            self.future.set_exception(error)


class CallQueue(Generic[Owner]):
    """A queue of calls, filled on any thread and emptied on the owner's.

    Args:
        condition: guards the queue; notified when a call arrives.
    """

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        self._calls: deque[Call[Owner]] = deque()
        self._closed_because = ""

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, function: Callable[[Owner], Value]) -> Future[Value]:
        """Add a call. After `close`, the future fails with RuntimeError at once."""
        future: Future[Value] = Future()
        with self._condition:
            if self._closed_because:
                future.set_exception(RuntimeError(self._closed_because))
            else:
                self._calls.append(Call(function, future))
                self._condition.notify()
        return future

    def take(self, limit: int | None = None) -> list[Call[Owner]]:
        """Remove and return the oldest calls, at most `limit`. The caller holds the condition."""
        count = len(self._calls) if limit is None else min(limit, len(self._calls))
        return [self._calls.popleft() for _ in range(count)]

    def close(self, reason: str) -> None:
        """Refuse further calls and fail those that wait with RuntimeError(reason)."""
        with self._condition:
            self._closed_because = reason
            waiting = self.take()
        for call in waiting:
            call.future.set_exception(RuntimeError(reason))
