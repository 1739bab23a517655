# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack review` as a process, and its requests."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOKEN_VARIABLE = "LANG2SEGTRACK_WEB_TOKEN"


@dataclass
class Served:
    """A running server of the page.

    Attributes:
        process: its process.
        url: address of the page.
    """

    process: subprocess.Popen[str]
    url: str

    def request(self, path: str, value: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Send a request, a POST if there is a value. Return the status and the JSON content, or the bytes of an image."""
        data = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, sent), timeout=60) as response:
                content = response.read()
                return response.status, json.loads(content) if "json" in response.headers["Content-Type"] else content
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        self.process.kill()
        self.process.wait()


def start(tracked: Path, *options: str, token: str = "") -> Served:
    """Start the server, and wait until it listens."""
    environment = {**os.environ, TOKEN_VARIABLE: token}
    arguments = ["review", str(tracked), "--port", "0", "--device", "cpu", *options]
    command = [sys.executable, "-m", "lang2segtrack_ros.cli.main", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        found = re.match(r"review: (http://\S+/)", line)
        if found:
            return Served(process, found[1])
    raise AssertionError("".join(lines))


@contextlib.contextmanager
def serving(tracked: Path, *options: str, token: str = "") -> Iterator[Served]:
    """Serve until the end of the context, which is Ctrl-C. The process must end with code 0 and without a traceback."""
    served = start(tracked, *options, token=token)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.process.send_signal(signal.SIGINT)
            output, _ = served.process.communicate(timeout=60)
            assert served.process.returncode == 0, output
            assert "Traceback" not in output, output
