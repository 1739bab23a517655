# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Call queue: each future resolves, even after errors and on shutdown."""

from __future__ import annotations

import threading

import pytest

from lang2segtrack_ros.runtime.call_queue import CallQueue


@pytest.fixture
def queue() -> CallQueue[list[int]]:
    return CallQueue(threading.Condition())


def test_calls_run_in_order_on_the_owned_object(queue: CallQueue[list[int]]) -> None:
    owned: list[int] = []
    futures = [queue.put(lambda owner, number=number: owner.append(number) or len(owner)) for number in range(3)]  # type: ignore[misc]
    for call in queue.take(2):
        call.run(owned)
    assert owned == [0, 1]
    assert [future.done() for future in futures] == [True, True, False]
    assert len(queue) == 1


def test_exception_reaches_the_caller(queue: CallQueue[list[int]]) -> None:
    future = queue.put(lambda owner: owner[7])
    queue.take()[0].run([])
    with pytest.raises(IndexError):
        future.result(0)


def test_close_fails_waiting_and_later_calls(queue: CallQueue[list[int]]) -> None:
    """Otherwise a caller would wait forever."""
    waiting = queue.put(len)
    queue.close("the node is shutting down")
    later = queue.put(len)
    for future in (waiting, later):
        with pytest.raises(RuntimeError, match="shutting down"):
            future.result(0)
    assert queue.take() == []


def test_new_call_wakes_the_owner() -> None:
    condition = threading.Condition()
    queue: CallQueue[list[int]] = CallQueue(condition)
    with condition:
        threading.Timer(0.05, queue.put, args=(len,)).start()
        assert condition.wait_for(lambda: len(queue), timeout=5.0)
