# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack doctor` on a real graph: a working camera, a missing camera, and a subscriber with incompatible QoS."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.doctor.finding import Level
from lang2segtrack_ros.doctor.graph import check_graph
from lang2segtrack_ros.toyworld.graph import Processes, executable

TOY_NODE = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu", "-p", "use_depth:=false"]
TOY = ["doctor", "--segmenter", "toy", "--detector", "toy"]
INCOMPATIBLE_SUBSCRIBER = """
import rclpy
from rclpy.qos import QoSProfile, DurabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("incompatible")
node.create_subscription(Image, "/camera/camera/color/image_raw", print, QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
rclpy.spin(node)
"""


def test_missing_camera_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TOY, "--seconds", "0.5"]) == 1
    output = capsys.readouterr().out
    assert "/camera/camera/color/image_raw: no node publishes it" in output
    assert "1 errors" in output


def test_working_camera_and_incompatible_subscriber(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Processes(dict(os.environ), tmp_path) as processes:
        processes.start("camera", executable("toy_camera"))
        processes.start("incompatible", [sys.executable, "-c", INCOMPATIBLE_SUBSCRIBER])
        code = main([*TOY, "--seconds", "20"])
        output = capsys.readouterr().out
        processes.check()
    assert "messages per second from /camera/camera" in output
    assert "calibrated" in output
    assert "aligned with color" in output
    assert "/camera/camera publishes reliable, volatile, /incompatible subscribes reliable, transient local" in output
    assert code == 1, "a QoS mismatch is an error"


def test_trackers_elsewhere_are_found_with_their_topics(tmp_path: Path) -> None:
    """The doctor looked only at the default topics, and called a killed node ok."""
    remap = ["-r", "__ns:=/left", "-r", "color/image_raw:=/front/camera/color/image_raw"]
    with Processes(dict(os.environ), tmp_path) as processes:
        processes.start("camera", [*executable("toy_camera"), "--ros-args", "-r", "__ns:=/front"])
        node = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY_NODE, *remap])
        processes.wait_for("track_node", "first image")
        findings = check_graph(None, 5.0)
        texts = [str(finding) for finding in findings]
        assert [finding for finding in findings if finding.level is not Level.OK] == [], texts
        assert any("/left/track_node: tracking, segmenter toy" in text for text in texts)
        assert any("/front/camera/color/image_raw: 640 x 480 rgb8" in text for text in texts)
        node.kill()
        node.wait()
        assert any("track_node: not running" in str(finding) for finding in check_graph(None, 0.5))


def test_depth_without_its_camera_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Depth is checked against a color image and a camera_info, which the doctor must not guess."""
    assert main([*TOY, "--depth", "/depth"]) == 2
    assert "--depth needs --color and --camera-info" in capsys.readouterr().err
