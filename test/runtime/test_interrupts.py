# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while libraries load."""

from __future__ import annotations

import signal
import subprocess
import sys

SCRIPT = """
import os, signal
from lang2segtrack_ros.runtime.interrupts import ended_by_interrupt
try:
    with ended_by_interrupt():
        {inside}
    os.kill(os.getpid(), signal.SIGINT)
except BaseException as error:
    raise ImportError("as numpy reports it") from error
"""


def run(inside: str) -> subprocess.CompletedProcess[str]:
    """Run the script with a statement inside the with block."""
    return subprocess.run([sys.executable, "-c", SCRIPT.format(inside=inside)], capture_output=True, text=True, timeout=30)


def test_interrupt_ends_the_process_without_a_traceback() -> None:
    """An import may catch KeyboardInterrupt and raise another exception. The user then saw a traceback."""
    ended = run("os.kill(os.getpid(), signal.SIGINT)")
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_interrupt_is_an_exception_again_after_the_imports() -> None:
    """The node cleans up at an interrupt."""
    ended = run("pass")
    assert ended.returncode == 1
    assert "KeyboardInterrupt" in ended.stderr
