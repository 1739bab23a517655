# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Process of a node: a failing callback does not end it, and a signal ends it in time."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from lang2segtrack_ros.runtime.allocator import keep_freed_memory

log = logging.getLogger(__name__)
EXIT_S = 1.2
"""Maximum time from a signal to the end of the process, whatever it is doing."""
PAUSE_S = 0.1
SWITCH_S = 0.0001
NodeT = TypeVar("NodeT", bound=Node)
SPIN_STEP_S = 0.02
"""Time in seconds between two checks of a condition."""
Wait = Callable[[Callable[[], bool]], None]
"""A function that waits until a condition holds, or until the process is told to stop."""


def configure_process() -> None:
    """Configure the process for threads that work on images. Call this once, before any large allocation.

    The engine's thread requests the interpreter after every small tensor operation. Other threads may therefore hold it only briefly:
    the executor's thread, which continues after it has passed on an image, and the detector's thread.
    """
    sys.setswitchinterval(SWITCH_S)
    keep_freed_memory()


def spin(executor: Any, until: Callable[[], bool] | None = None) -> None:
    """Spin until the process is told to stop, or until a condition holds. Log an exception of a callback and continue with the others.

    Args:
        executor: an rclpy executor.
        until: the condition. None spins until the end.
    """
    while until is None or not until():
        try:
            if until is None:
                executor.spin()
                return
            executor.spin_once(timeout_sec=SPIN_STEP_S)
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except Exception:
            if not executor.context.ok():
                return
            log.exception("a callback failed; the node continues")
            time.sleep(PAUSE_S)


def poll(until: Callable[[], bool]) -> None:
    """Wait until a condition holds, without an executor."""
    while not until():
        time.sleep(SPIN_STEP_S)


def spin_until(executor: Any, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
    """Process messages for some seconds, or until a condition holds.

    Args:
        executor: an rclpy executor.
        seconds: longest time to spin.
        until: the condition; it is also checked before the first message.

    Returns:
        True if the condition holds.
    """
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() >= end:
            return False
        executor.spin_once(timeout_sec=SPIN_STEP_S)
    return True


def run_node(
    name: str, make: Callable[[], NodeT], args: list[str] | None, start: Callable[[NodeT, Wait], bool] = lambda *_: True
) -> NoReturn:
    """Run one node until it is told to stop, then end the process.

    Args:
        name: name of the node, for the message if it cannot start.
        make: creates the node. An exception ends the process with code 1.
        args: command line.
        start: called before the node spins, with the node and a way to wait. False ends the process with code 1.
    """
    try:
        code = _run(name, make, args, start)
    except KeyboardInterrupt:  # at any moment
        code = 0
    _leave(code)


def _run(name: str, make: Callable[[], NodeT], args: list[str] | None, start: Callable[[NodeT, Wait], bool]) -> int:
    logging.basicConfig(level=logging.WARNING, format="[%(levelname)s] %(name)s: %(message)s", stream=sys.stderr)
    context = rclpy.get_default_context()
    is_initialized = False
    try:
        rclpy.init(args=args)
        is_initialized = True
        end_in_time(lambda: not context.ok())
        node = make()
    except Exception as error:  # a port in use, a wrong command line or parameter type; rclpy has many exception classes
        if is_initialized and not context.ok():  # told to stop while the node was being created
            return 0
        print(f"{name} could not start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    with executing(node) as executor:
        if not start(node, partial(spin, executor)):
            return 1 if context.ok() else 0
        spin(executor)
    return 0


@contextlib.contextmanager
def executing(node: Node) -> Iterator[SingleThreadedExecutor]:
    """Provide an executor with a node. Afterwards end both and rclpy, ignoring further signals."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # ros2 launch and impatient users send a second signal
            signal.signal(number, signal.SIG_IGN)
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()


def _leave(code: int) -> NoReturn:
    """End the process after everything is closed. Unloading the networks' libraries in order would take seconds and save nothing."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_in_time(stopping: Callable[[], bool], limit_s: float = EXIT_S) -> None:
    """End the process some time after it was told to stop, if it has not ended by itself.

    Some work cannot be interrupted: a network that is loading, a detection that takes a minute, a publisher that a dead subscriber
    blocks. None of it holds data that must be saved.

    Args:
        stopping: returns True after the process was told to stop.
        limit_s: time in seconds from then to the end.
    """

    def watch() -> None:
        while not stopping():
            time.sleep(0.05)
        time.sleep(limit_s)
        busy = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
        os.write(2, f"told to stop {limit_s} s ago: the process ends without waiting for {busy}\n".encode())
        os._exit(0)

    threading.Thread(target=watch, name="lang2segtrack-exit", daemon=True).start()
