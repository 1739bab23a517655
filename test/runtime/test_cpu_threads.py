# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Command and node set OpenMP so that a busy neighbor process does not slow them down several times. The user's settings stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lang2segtrack_ros.runtime.cpu_threads import configure_cpu_threads, granted_cpus
from lang2segtrack_ros.toyworld.graph import executable

COMMAND = [sys.executable, "-m", "lang2segtrack_ros.cli.main", "weights", "verify", "sam2.1-large"]  # loads torch, and then finds no files
NODE = [*executable("track_node"), "--ros-args", "-p", "segmenter:=none"]


@pytest.mark.parametrize(
    ("command", "policy", "expected"),
    [(COMMAND, None, "PASSIVE"), (COMMAND, "ACTIVE", "ACTIVE"), (NODE, None, "PASSIVE")],
    ids=["command", "command with a variable", "node"],
)
def test_openmp_gets_its_settings_before_it_is_loaded(tmp_path: Path, command: list[str], policy: str | None, expected: str) -> None:
    """OpenMP reads its variables only while it is loaded with torch. The library itself reports the setting that it uses."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE", "LANG2SEGTRACK_WEIGHTS": str(tmp_path)} | ({"OMP_WAIT_POLICY": policy} if policy else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    if "OMP_WAIT_POLICY" not in done.stderr:
        pytest.skip("this build of torch has an OpenMP library that does not report its settings")
    assert f"OMP_WAIT_POLICY = '{expected}'" in done.stderr


@pytest.mark.parametrize(
    ("texts", "granted"),
    [
        (["250000 100000\n"], 3),  # a container started with --cpus 2.5
        (["max 100000\n"], None),  # no limit
        (["50000\n", "100000\n"], 1),  # version 1 of control groups, half a CPU
        (["-1\n", "100000\n"], None),  # version 1 without a limit
        ([], None),  # another operating system
    ],
)
def test_quota_of_a_container_is_rounded_up(tmp_path: Path, texts: list[str], granted: int | None) -> None:
    """More threads than the quota allows wait for each other until the next period."""
    files = [tmp_path / str(number) for number in range(len(texts) or 1)]
    for file, text in zip(files, texts):
        file.write_text(text)
    assert granted_cpus([files]) == granted


def test_variables_of_the_user_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    configure_cpu_threads()
    assert [os.environ[name] for name in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OMP_NUM_THREADS")] == ["ACTIVE", "200", "7"]
