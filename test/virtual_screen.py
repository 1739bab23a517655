# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A virtual screen with a mouse and a keyboard. It needs Xvfb, xdotool and Tk (`apt install xvfb xdotool python3-tk`)."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

MISSING = [name for name in ("Xvfb", "xdotool") if shutil.which(name) is None]
MISSING += [] if importlib.util.find_spec("tkinter") else ["Tk"]
needs_screen = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@contextlib.contextmanager
def screen() -> Iterator[str]:
    """Start a virtual screen and yield its DISPLAY."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1200x700x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        yield f":{server.stdout.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def xdotool(display: str, *arguments: str) -> str:
    """Run one xdotool command on a display and return its output."""
    environment = {**os.environ, "DISPLAY": display}
    return subprocess.run(["xdotool", *arguments], env=environment, capture_output=True, text=True, check=True).stdout
