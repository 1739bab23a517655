# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Loading of a session on its own thread, so that the node's services answer while networks load or download."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from lang2segtrack_ros.session.session import Session


class SessionLoading:
    """A session that is being loaded.

    Args:
        make: loads the session. It is called on the thread.

    Attributes:
        settled: done when the node uses the session, or will never use it. The node or `abandon` sets it.
    """

    def __init__(self, make: Callable[[], Session]) -> None:
        self._make = make
        self._began = time.monotonic()
        self._session: Future[Session] = Future()
        self.settled: Future[None] = Future()
        threading.Thread(target=self._run, name="loading-networks", daemon=True).start()

    @property
    def seconds(self) -> float:
        """Return the time in seconds since the start."""
        return time.monotonic() - self._began

    @property
    def is_finished(self) -> bool:
        """Return True if `take` does not block."""
        return self._session.done()

    def wait(self, seconds: float) -> bool:
        """Wait some seconds for the end. Return False if the session is still loading."""
        return bool(concurrent.futures.wait([self._session], seconds).done)

    def take(self) -> Session:
        """Return the session, which the caller must close.

        Raises:
            Exception: the exception of `make`.
        """
        return self._session.result()

    def abandon(self) -> None:
        """Do without the session. A running load or download cannot be stopped, so its session is closed when it ends."""
        self._session.add_done_callback(_close)
        self.settled.set_result(None)

    def _run(self) -> None:
        try:
            self._session.set_result(self._make())
        except Exception as error:  # the node reports it
            self._session.set_exception(error)


def _close(loaded: Future[Session]) -> None:
    if loaded.exception() is None:
        loaded.result().close()
