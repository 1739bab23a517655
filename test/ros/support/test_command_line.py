# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Arguments of all executables that are not for ROS, in real processes."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = sorted(path for path in (Path(__file__).parents[3] / "scripts").iterdir() if path.name != "lang2segtrack")
PARAMETER = {"toy_camera": "depth_encoding", "track_node": "lost_after_s", "web_node": "max_connections", "prompt_window": "max_rate"}


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_help_ends_and_unknown_arguments_are_refused(program: Path) -> None:
    """Both would start a node that runs until it is stopped, without the setting that the user wanted."""
    if program.name == "prompt_window" and importlib.util.find_spec("tkinter") is None:
        pytest.skip("not installed: Tk")
    command = [sys.executable, str(program)]
    shown = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=120, check=True)
    assert f"ros2 run lang2segtrack {program.name}" in shown.stdout
    assert PARAMETER.get(program.name, "") in shown.stdout
    refused = subprocess.run(
        [*command, "--fps", "5", "--ros-args", "-p", "fps:=5.0"], capture_output=True, text=True, timeout=120, check=False
    )
    assert refused.returncode == 2
    assert "unknown arguments: --fps 5; parameters follow --ros-args" in refused.stderr
