# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Queue of calls from any thread to the one thread that owns an object."""

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
    """A function of the owned object, and the future of its result.

    Attributes:
        function: called with the owned object.
        future: gets the result or the exception of the function.
    """

    function: Callable[[Owner], Any]
    future: Future[Any]

    def run(self, owner: Owner) -> None:
        """Run the function on the owned object. Its result or exception resolves the future."""
        try:
            self.future.set_result(self.function(owner))
        except Exception as error:  # the caller gets it from the future
            self.future.set_exception(error)


class CallQueue(Generic[Owner]):
    """A thread-safe queue of calls. Any thread adds calls, and the owner's thread takes them.

    Args:
        condition: guards the queue, and is notified when a call arrives.
    """

    def __init__(self, condition: threading.Condition) -> None:
        self._condition = condition
        self._calls: deque[Call[Owner]] = deque()
        self._close_reason = ""

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, function: Callable[[Owner], Value]) -> Future[Value]:
        """Add a call and return the future of its result. After `close`, the future fails with RuntimeError at once."""
        future: Future[Value] = Future()
        with self._condition:
            if self._close_reason:
                future.set_exception(RuntimeError(self._close_reason))
            else:
                self._calls.append(Call(function, future))
                self._condition.notify()
        return future

    def put_for(self, future: Future[Any], function: Callable[[Owner], None]) -> None:
        """Add a call that resolves `future` later. If the call fails, it fails the future now.

        Args:
            future: the future of the caller.
            function: the call; it stores the future for the time at which the result is known.
        """

        def fail(called: Future[None]) -> None:
            error = called.exception()
            if error is not None:
                future.set_exception(error)

        self.put(function).add_done_callback(fail)

    def take(self, limit: int | None = None) -> list[Call[Owner]]:
        """Remove and return the oldest calls, at most `limit`. The caller must hold the condition."""
        count = len(self._calls) if limit is None else min(limit, len(self._calls))
        return [self._calls.popleft() for _ in range(count)]

    def close(self, reason: str) -> None:
        """Fail all waiting and all later calls with RuntimeError(reason)."""
        with self._condition:
            self._close_reason = reason
            waiting = self.take()
        for call in waiting:
            call.future.set_exception(RuntimeError(reason))
