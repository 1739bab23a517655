# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The result of a check, and a probe that runs Python code in a subprocess."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

PROBE_S = 120.0
"""Time limit of a probe in seconds."""


class Level(Enum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        level: severity. An ERROR stops lang2segtrack from working, a WARNING may stop it.
        subject: checked item.
        text: state of the item.
        advice: recommended action, empty if there is none.
    """

    level: Level
    subject: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        mark = {Level.OK: "  ok     ", Level.WARNING: "  WARNING", Level.ERROR: "  ERROR  "}[self.level]
        return f"{mark} {self.subject}: {self.text}" + (f"\n            -> {self.advice}" if self.advice else "")


def probe(code: str, environment: Mapping[str, str] | None = None) -> str:
    """Run Python code in a subprocess, because a broken compiled module may crash the process.

    Args:
        code: Python source code.
        environment: environment variables of the subprocess. None passes those of this process.

    Returns:
        The reason of the failure, or an empty string on success.
    """
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
        return f"the process did not end within {PROBE_S:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"signal {-done.returncode} ended the process"
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"
