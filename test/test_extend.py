# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""docs/extend.md works exactly as it is written: from Python, from the command line and from a node's parameter file."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.suites import make_clip

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "extend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
FILES = {match[1]: text for _, text in BLOCKS if (match := re.match(r"# (\w+\.(?:py|yaml))\n", text))}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files, from which Python imports."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def test_each_plug_in_is_one_short_file() -> None:
    """The page promises files of under 40 lines."""
    lines = {name: len(text.splitlines()) for name, text in FILES.items() if name.endswith(".py")}
    assert set(lines) == {"steady_area.py", "color_detector.py"}
    assert max(lines.values()) < 40, lines


def test_from_python(folder: Path) -> None:
    """The snippet tracks toy shapes by their colors."""
    (snippet,) = (text for kind, text in BLOCKS if kind == "python" and "session.prompt" in text)
    done = subprocess.run([sys.executable, "-c", snippet], cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert re.search(r"19 \[\(\d+, '(red|blue|green|yellow)', 'TRACKED'\)", done.stdout), done.stdout


def test_from_the_command_line(folder: Path) -> None:
    """`lang2segtrack track` takes the names as options."""
    clip = make_clip("easy", seed=3, width=320, height=240)
    (folder / "shots").mkdir()
    for index in range(12):
        write_png(folder / "shots" / f"{index:03}.png", clip.scene.render(index).color)
    (command,) = re.findall(r"^lang2segtrack (track .*)$", PAGE, re.MULTILINE)
    command = command.replace("red. blue.", "red. blue. green. yellow.")
    done = subprocess.run(
        [sys.executable, "-m", "lang2segtrack_ros.cli.main", *shlex.split(command), "--device", "cpu"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "colors" / "tracks.jsonl").stat().st_size > 0


def test_from_a_parameter_file(folder: Path) -> None:
    """The node starts with the names of the parameter file and says so."""
    with isolated_environment() as environment, Processes(environment, folder / "logs") as processes:
        command = [*executable("track_node"), "--ros-args", "--params-file", str(folder / "extended.yaml"), "-p", "device:=cpu"]
        processes.start("track_node", command)
        processes.wait_for("track_node", "listening to", 120.0)
        assert "policy steady_area:SteadyAreaPolicy" in processes.log("track_node")
        assert "detector colors" in processes.log("track_node")


def test_a_policy_that_lacks_a_part_is_refused_by_the_node(folder: Path) -> None:
    """A user must learn which part is missing, and not see a traceback on the first image."""
    (folder / "half.py").write_text("class Half:\n    name = 'half'\n")
    with isolated_environment() as environment, Processes(environment, folder / "logs") as processes:
        arguments = ["-p", "segmenter:=toy", "-p", "detector:=''", "-p", "device:=cpu", "-p", "policy:=half:Half"]
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        assert process.wait(90) == 1
        log = processes.log("track_node")
    assert 'the policy plug-in "half:Half" lacks visible_above, uses_depth, choose, recent_rows' in log
    assert "Traceback" not in log
