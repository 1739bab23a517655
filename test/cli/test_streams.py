# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Printing never ends a run: its results are in place whatever happens to its output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.cli.test_track import TOY, box

SAY = (
    "from lang2segtrack_ros.cli.streams import safe_output\nwith safe_output():\n    for _ in range(9): print('red \\u676f', flush=True)\n"
)


def run(code: str, stdout: int, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python code with this stdout, and return the finished process."""
    return subprocess.run(
        [sys.executable, "-c", code], stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **environment}, check=False, timeout=60
    )


def test_closed_pipe_and_full_disk_end_nothing() -> None:
    """`command | head -1` closes the pipe; the interpreter also flushes the stream when it ends."""
    read, write = os.pipe()
    os.close(read)
    with open("/dev/full", "wb") as full:
        for stdout in (write, full.fileno()):
            process = run(SAY, stdout)
            assert (process.returncode, process.stderr) == (0, b"")
    os.close(write)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_the_encoding_lacks_are_escaped(encoding: str) -> None:
    process = run(SAY, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert process.returncode == 0
    assert process.stdout.splitlines() == [b"red \\u676f"] * 9


def test_output_of_a_run_stays_when_nobody_reads(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """The label is outside the encoding, and the pipe is closed."""
    for index in range(3):
        write_png(tmp_path / "images" / f"{index}.png", np.ascontiguousarray(frames[index].color))
    arguments = ["track", str(tmp_path / "images"), "--box", f"{box(frames[0], 1)}=\u676f", *TOY, "--out", str(tmp_path / "out")]
    read, write = os.pipe()
    os.close(read)
    process = run(f"from lang2segtrack_ros.cli.main import main; raise SystemExit(main({arguments!r}))", write, PYTHONIOENCODING="ascii")
    os.close(write)
    assert process.returncode == 0, process.stderr
    assert len((tmp_path / "out" / "tracks.jsonl").read_text().splitlines()) == 3
