# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack doctor` on a real graph: a camera that is whole, one that is not there, and a subscriber that hears nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lang2segtrack_ros.cli.main import main
from lang2segtrack_ros.toyworld.graph import Processes, executable

TOY = ["doctor", "--segmenter", "toy", "--detector", "toy"]
DEAF = """
import rclpy
from rclpy.qos import QoSProfile, DurabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("deaf")
node.create_subscription(Image, "/camera/camera/color/image_raw", print, QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
rclpy.spin(node)
"""


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TOY, "--seconds", "0.5"]) == 1
    told = capsys.readouterr().out
    assert "/camera/camera/color/image_raw: nobody publishes it" in told
    assert "1 errors" in told


def test_a_camera_and_a_subscriber_that_hears_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Processes(dict(os.environ), tmp_path) as processes:
        processes.start("camera", executable("toy_camera"))
        processes.start("deaf", [sys.executable, "-c", DEAF])
        code = main([*TOY, "--seconds", "20"])
        told = capsys.readouterr().out
        processes.check()
    assert "messages a second from /camera/camera" in told
    assert "calibrated" in told
    assert "aligned with colour" in told
    assert "/camera/camera publishes reliable, volatile, /deaf subscribes reliable, transient local" in told
    assert code == 1, "a QoS mismatch is an error"
