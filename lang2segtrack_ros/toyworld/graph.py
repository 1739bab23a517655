# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Isolated ROS graph for demos and tests: a domain of its own, and processes that end together with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lang2segtrack_ros.ros.support import transports

DOMAINS = range(20, 100)
GRACE_S = 5.0
LOCALHOST_OF_HUMBLE = {"humble": {"ROS_LOCALHOST_ONLY": "1"}}
"""Variables of distributions without ROS_AUTOMATIC_DISCOVERY_RANGE. Jazzy warns about the older variable in each process."""


class GraphError(RuntimeError):
    """Error of a graph that could not be set up or whose process failed. The message names the process and ends with its output."""


@contextlib.contextmanager
def isolated_environment() -> Iterator[dict[str, str]]:
    """Yield environment variables of a ROS domain that no other caller on this machine uses.

    Fast DDS is configured for large images whatever the user's environment says, so that they arrive without delay.

    Raises:
        GraphError: All domains are in use.
    """
    folder = Path(tempfile.gettempdir()) / "lang2segtrack-domains"
    folder.mkdir(mode=0o777, exist_ok=True)
    for domain in DOMAINS:
        lock = (folder / str(domain)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        with lock:
            yield {
                **{name: value for name, value in os.environ.items() if name not in transports.CHOICES},
                "ROS_DOMAIN_ID": str(domain),
                "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
                **LOCALHOST_OF_HUMBLE.get(os.environ.get("ROS_DISTRO", ""), {}),
                **transports.large_images(os.environ),
                "PYTHONUNBUFFERED": "1",
            }
        return
    raise GraphError(f"other demos or tests on this machine use all ROS domains from {DOMAINS[0]} to {DOMAINS[-1]}: wait until one ends")


def executable(name: str) -> list[str]:
    """Return the command line that `ros2 run lang2segtrack NAME` would start.

    Args:
        name: name of the executable.

    Raises:
        GraphError: The package is not built.
    """
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix) / "lib" / "lang2segtrack" / name
        if prefix and path.is_file():
            return [sys.executable, str(path)]
    raise GraphError(f"lang2segtrack's {name} is not on AMENT_PREFIX_PATH: build the package and source its setup file")


class Processes:
    """Group of processes that are always stopped together, in the reverse order of their start.

    Args:
        environment: environment variables of all processes.
        logs: folder for one output file per process.
    """

    def __init__(self, environment: dict[str, str], logs: Path) -> None:
        self._environment = environment
        self._logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in its own session."""
        log = (self._logs / f"{name}.log").open("wb")
        process = subprocess.Popen(
            list(command), env=self._environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        self._running.append((name, process, log))
        return process

    def log(self, name: str) -> str:
        """Return the output of a process so far."""
        return (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def wait_for(self, name: str, words: str, seconds: float = 60.0) -> None:
        """Wait until a process has printed some words.

        Args:
            name: name of the process.
            words: text to wait for.
            seconds: longest time to wait.

        Raises:
            GraphError: the process ended, or did not print the words in time.
        """
        process = next(process for running, process, _ in self._running if running == name)
        deadline = time.monotonic() + seconds
        while words not in self.log(name):
            if process.poll() is not None or time.monotonic() > deadline:
                raise GraphError(f'{name} never printed "{words}"; its last output:\n{self.log(name)[-2000:]}')
            time.sleep(0.02)

    def check(self) -> None:
        """Check that no process has failed.

        Raises:
            GraphError: A process ended with an exit code other than 0.
        """
        for name, process, _ in self._running:
            if process.poll() not in (None, 0):
                raise GraphError(f"{name} ended with exit code {process.returncode}; its last output:\n{self.log(name)[-2000:]}")

    def stop(self) -> None:
        """Interrupt every running process, then kill those that do not end within the grace period."""
        for _, process, _ in reversed(self._running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
        deadline = time.monotonic() + GRACE_S
        for _, process, log in reversed(self._running):
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.close()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
