# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a check says, and Python tried out in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

PROBE_S = 120.0


class Level(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: ERROR stops lang2segtrack from working, WARNING may.
        subject: what was looked at.
        text: what was found.
        advice: what to do, empty when nothing.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        mark = {Level.OK: "  ok     ", Level.WARNING: "  WARNING", Level.ERROR: "  ERROR  "}[self.level]
        return f"{mark} {self.subject}: {self.text}" + (f"\n            -> {self.advice}" if self.advice else "")


def probe(code: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs Python code in a process of its own, as broken compiled modules may end it; why it failed, empty when it did not."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            stdin=subprocess.DEVNULL,
            env=None if environment is None else dict(environment),
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {PROBE_S:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"the process was ended by signal {-done.returncode}"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
