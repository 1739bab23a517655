# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How a node's process lives and ends: no callback ends it, and a signal ends it in time."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from lang2segtrack_ros.runtime.allocator import keep_freed_memory

log = logging.getLogger(__name__)
EXIT_S = 1.2
"""From a signal to the end of the process at the latest, whatever it is at."""
PAUSE_S = 0.1
SWITCH_S = 0.0001
NodeT = TypeVar("NodeT", bound=Node)


def configure_process() -> None:
    """Sets the process up for threads that work on images: to be called once, before anything large is made.

    The engine's thread asks for the interpreter after every small tensor operation, so others may hold it but shortly: the executor's,
    which goes on when it has handed an image over, or the detector's.
    """
    sys.setswitchinterval(SWITCH_S)
    keep_freed_memory()


def spin(executor: Any) -> None:
    """Spins until the process is told to stop; what a callback raises is logged, and the others go on."""
    while True:
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            return
        except Exception:
            if not executor.context.ok():
                return
            log.exception("a callback failed; the node goes on")
            time.sleep(PAUSE_S)
        else:
            return


def run_node(name: str, make: Callable[[], NodeT], args: list[str] | None, started: Callable[[NodeT], bool] = lambda _: True) -> NoReturn:
    """Runs one node until it is told to stop, and ends the process.

    Args:
        name: of the node, for the words when it cannot start.
        make: makes it.
        args: of the command line.
        started: what is to be done before it spins; False ends the process with code 1, as does an exception of `make`.
    """
    try:
        code = _run(name, make, args, started)
    except KeyboardInterrupt:  # at any moment
        code = 0
    _leave(code)


def _run(name: str, make: Callable[[], NodeT], args: list[str] | None, started: Callable[[NodeT], bool]) -> int:
    logging.basicConfig(level=logging.WARNING, format="[%(levelname)s] %(name)s: %(message)s", stream=sys.stderr)
    context = rclpy.get_default_context()
    begun = False
    try:
        rclpy.init(args=args)
        begun = True
        end_in_time(lambda: not context.ok())
        node = make()
    except Exception as error:  # a port in use, a wrong command line or a parameter of a wrong type, in rclpy's many exceptions
        if begun and not context.ok():  # told to stop, which nothing that is being made survives
            return 0
        print(f"{name} could not start: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    with executing(node) as executor:
        if not started(node):
            return 1
        spin(executor)
    return 0


@contextlib.contextmanager
def executing(node: Node) -> Iterator[SingleThreadedExecutor]:
    """An executor with a node; afterwards both end, and rclpy with them, undisturbed."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor
    finally:
        for second in (signal.SIGINT, signal.SIGTERM):  # ros2 launch and impatient users send another one
            signal.signal(second, signal.SIG_IGN)
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()


def _leave(code: int) -> NoReturn:
    """Ends the process now that all is closed: taking the networks' libraries apart in order would take seconds and saves nothing."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end_in_time(stopping: Callable[[], bool], limit_s: float = EXIT_S) -> None:
    """Ends the process this long after it was told to stop, if it has not ended by itself.

    A network that is loading, a detector that looks at an image for a minute or a publisher that a dead subscriber blocks cannot be
    interrupted. They hold nothing that must be written down.
    """

    def watch() -> None:
        while not stopping():
            time.sleep(0.05)
        time.sleep(limit_s)
        busy = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.current_thread())
        os.write(2, f"told to stop {limit_s} s ago: ends without waiting for {busy}\n".encode())
        os._exit(0)

    threading.Thread(target=watch, name="lang2segtrack-exit", daemon=True).start()
