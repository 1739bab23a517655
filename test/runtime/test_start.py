# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C while libraries load, and missing Python packages."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lang2segtrack_ros.runtime.start import PYTHON_PACKAGES
from lang2segtrack_ros.runtime.start import run as start

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import os, signal
from lang2segtrack_ros.runtime.start import ended_by_interrupt
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


def test_missing_python_packages_are_named_with_the_command() -> None:
    """After `rosdep install` alone, torch and others are missing. The user saw a traceback without the next step."""
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from lang2segtrack_ros.runtime.start import run\n"
        "sys.exit(run('lang2segtrack_ros.models.loading:load_segmenter'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert ended.stderr.startswith("Python packages are missing: ")
    assert "ros2 run lang2segtrack install_python.sh" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_another_missing_module_keeps_its_traceback() -> None:
    """A plug-in that lacks a module of its own must not ask for our packages."""
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        start("no_such_module:main")


def test_required_packages_are_those_of_the_project() -> None:
    listed = re.search(r"^dependencies = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r'"([\w-]+)>=', listed[1])) == set(PYTHON_PACKAGES.values())
