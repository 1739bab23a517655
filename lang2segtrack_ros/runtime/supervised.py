# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Threads that are there as long as somebody counts on them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)
PAUSE_S = 0.05
"""Before a loop that failed starts again, so that one that always fails does not take the whole processor."""
JOIN_S = 10.0


class SupervisedThread:
    """Runs a loop until it returns; a loop that raises is logged, counted and started again. Its state is its owner's, and stays.

    Args:
        name: of the thread.
        loop: returns only when its owner has told it to.

    Attributes:
        restarts: how often the loop was started again.
        last_error: why, the last time.
    """

    def __init__(self, name: str, loop: Callable[[], None]) -> None:
        self.name = name
        self.restarts = 0
        self.last_error = ""
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self, limit_s: float = JOIN_S) -> bool:
        """Waits until the loop has returned, and says whether it has. One that is stuck is left behind: nobody may hang on it."""
        self._thread.join(limit_s)
        if self._thread.is_alive():
            log.warning("%s did not end within %.0f s; it ends after what it is at", self.name, limit_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._loop()
            except BaseException as error:  # SystemExit as well: a thread that ends in silence helps nobody
                self.restarts += 1
                self.last_error = f"{type(error).__name__}: {error}"
                log.exception("%s failed and is started again", self.name)
                pause.wait(PAUSE_S)
            else:
                return
