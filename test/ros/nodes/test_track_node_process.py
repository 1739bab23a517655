# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start and end of the process of track_node: signals, parameters that keep it from starting, unknown parameters."""

from __future__ import annotations

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
