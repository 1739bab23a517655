# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Threads that restart after an error."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
PAUSE_S = 0.05
"""Pause before a failed loop restarts. It limits the processor load of a loop that always fails."""
JOIN_S = 10.0
"""Default time limit of `SupervisedThread.join`."""


class SupervisedThread:
    """A thread that runs a loop until the loop returns.

    If the loop raises, the thread logs the error, counts it, and starts the loop again. The loop's state belongs to its owner and survives.

    Args:
        name: name of the thread.
        loop: returns only on request of its owner.

    Attributes:
        restarts: number of restarts.
        last_error: type and message of the latest error, empty before the first one.
    """

    def __init__(self, name: str, loop: Callable[[], None]) -> None:
        self.name = name
        self.restarts = 0
        self.last_error = ""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self, limit_s: float = JOIN_S) -> bool:
        """Wait until the loop has returned.

        Args:
            limit_s: maximum time to wait, in seconds. A stuck thread stays behind, so that the caller never hangs.

        Returns:
            Whether the loop has returned.
        """
        self._thread.join(limit_s)
        if self._thread.is_alive():
            log.warning("%s did not end within %.0f s; it ends after its current operation", self.name, limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._loop()
            except BaseException as error:  # also SystemExit, which would end the thread without a message
                self.restarts += 1
                self.last_error = f"{type(error).__name__}: {error}"
                log.exception("%s failed and restarts", self.name)
                pause.wait(PAUSE_S)
            else:
                return
