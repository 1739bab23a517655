# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start and end of the process of track_node: signals, parameters that keep it from starting, unknown parameters."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path

import pytest

from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from test.ros.nodes.node_tester import TOY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_process(tmp_path: Path, number: signal.Signals) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY])
        processes.wait_for("track_node", "listening to")
        process.send_signal(number)
        time.sleep(0.2)
        process.send_signal(number)  # ros2 launch and users send a second signal
        assert process.wait(5) == 0
        assert "Traceback" not in processes.log("track_node")


def test_ended_node_leaves_no_shared_memory(tmp_path: Path) -> None:
    """rclpy keeps the state machine of a lifecycle node. It held the middleware, whose 18 MB stayed in /dev/shm after each run."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY])
        processes.wait_for("track_node", "listening to")
        segments = segments_of(process.pid)
        assert segments
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert [segment for segment in segments if segment.exists()] == []


def segments_of(pid: int) -> list[Path]:
    """Return the files of the shared memory that Fast DDS holds open in a process, but not those of the ports, which domains share."""
    files = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # the process has closed it meanwhile
            files.add(Path(os.readlink(link)))
    return [file for file in files if file.parent == Path("/dev/shm") and re.fullmatch(r"(fastdds|fastrtps)_[0-9a-f]{16}(_el)?", file.name)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "segmenter:=sam77"], 'no segmenter is called "sam77"'),
        ([*TOY, "-p", "policy:=samurei"], 'no memory policy is called "samurei"; known policies: sam2, samurai, distractor'),
        ([*TOY, "-p", "image_size:=9999"], "image_size"),
        ([*TOY, "-p", "lost_after_s:=soon"], "lost_after_s"),
        ([*TOY, "-p", "detector:=''", "-p", "text:=red circle"], "there is no detector"),
        (["--log-level", "loud"], "loud"),
    ],
)
def test_failed_start_reports_reason(tmp_path: Path, arguments: list[str], words: str) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        assert process.wait(60) == 1
        assert words in processes.log("track_node")
        assert "Traceback" not in processes.log("track_node")


def test_misspelled_parameter_is_reported(tmp_path: Path) -> None:
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "detect_evry:=3"])
        processes.wait_for("track_node", "there is no parameter detect_evry")
