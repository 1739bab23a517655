# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How a node's process lives and ends: no callback ends it, and a signal ends it in time."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from rclpy.executors import ExternalShutdownException

log = logging.getLogger(__name__)
EXIT_S = 1.2
"""From a signal to the end of the process at the latest, whatever it is at."""
PAUSE_S = 0.1


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


def leave(code: int) -> NoReturn:
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
