# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Demos and tests leave no process behind."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_graphs_have_different_domains() -> None:
    with isolated_environment() as first, isolated_environment() as second:
        assert first["ROS_DOMAIN_ID"] != second["ROS_DOMAIN_ID"]
        assert first["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_processes_that_ignore_sigint_are_killed_with_their_children(tmp_path: Path) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); child = os.fork(); "
        # One write per line: print() may split number and newline, and the two processes share the log.
        "os.write(1, b'%d\\n' % os.getpid()); time.sleep(60)"
    )

    def run_graph() -> None:
        with Processes(dict(os.environ), tmp_path) as processes:
            processes.start("stubborn", [sys.executable, "-c", code])
            while processes.log("stubborn").count("\n") < 2:
                time.sleep(0.05)
            raise ValueError("the demo went wrong")

    with pytest.raises(ValueError, match="went wrong"):
        run_graph()
    pids = [int(line) for line in (tmp_path / "stubborn.log").read_text().split()]
    assert len(pids) == 2
    time.sleep(0.2)
    assert not any(is_running(pid) and "sleep(60)" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


def test_failed_process_is_reported_with_its_output(tmp_path: Path) -> None:
    with Processes(dict(os.environ), tmp_path) as processes:
        processes.start("broken", [sys.executable, "-c", "raise SystemExit('no camera here')"]).wait()
        with pytest.raises(GraphError, match=r"(?s)broken ended with exit code 1.*no camera here"):
            processes.check()


def test_missing_build_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", "/nowhere")
    with pytest.raises(GraphError, match="build the package"):
        executable("track_node")
