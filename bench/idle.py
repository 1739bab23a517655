# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Processor time of a node that nobody uses: a camera publishes, but there is no prompt and no subscriber.

The floor is a node of rclpy alone that subscribes the same images and does nothing. Called by `bench/node.py --idle`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from lang2segtrack_ros.toyworld.demo import REMAPPINGS
from lang2segtrack_ros.toyworld.graph import GraphError, Processes, executable, isolated_environment

START_S = 180.0
SETTLE_S = 3.0
"""Time from the first image to the measurement."""
TARGET_PERCENT = 5.0
_SUBSCRIBER = """
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("floor")
node.create_subscription(Image, "color/image_raw", lambda _: None, QoSProfile(depth=2))
try:
    rclpy.spin(node)
except BaseException:
    pass
"""
_TOY = {"segmenter": "toy", "detector": "toy", "device": "cpu", "use_depth": "false"}


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time that a process has used, in seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(out: Path, size: tuple[int, int], fps: float, seconds: float) -> dict[str, float]:
    """Return the processor time of each kind of node in percent of a core.

    Args:
        out: folder for logs.
        size: image width and height in pixels.
        fps: frame rate of the camera.
        seconds: duration of each measurement.

    Raises:
        GraphError: a process ended, or a node got no image.
    """
    camera = [*executable("toy_camera"), "--ros-args", *_parameters({"width": size[0], "height": size[1], "fps": fps})]
    node = [*executable("track_node"), "--ros-args", *(part for item in REMAPPINGS for part in ("-r", item))]
    floor = [sys.executable, "-c", _SUBSCRIBER, "--ros-args", "-r", REMAPPINGS[0]]
    cases = {
        "rclpy_alone": floor,
        "node": [*node, *_parameters(_TOY)],
        "node_history_while_idle": [*node, *_parameters({**_TOY, "history_while_idle": "true"})],
    }
    percent = {}
    with isolated_environment() as environment, Processes(environment, out / "node_logs") as processes:
        processes.start("camera", camera)
        started = {name: processes.start(name, command) for name, command in cases.items()}
        deadline = time.monotonic() + START_S
        while not all("first image" in processes.log(name) for name in started if name != "rclpy_alone"):
            time.sleep(0.5)
            processes.check()
            if time.monotonic() > deadline:
                raise GraphError(f"a node got no image within {START_S:g} s: see the logs in {out / 'node_logs'}")
        time.sleep(SETTLE_S)
        before = {name: processor_seconds(process) for name, process in started.items()}
        began = time.monotonic()
        time.sleep(seconds)
        elapsed = time.monotonic() - began
        processes.check()
        for name, process in started.items():
            percent[name] = round(100 * (processor_seconds(process) - before[name]) / elapsed, 1)
    return percent


def _parameters(values: Mapping[str, object]) -> list[str]:
    """Return parameters as arguments of a command line."""
    return [part for name, value in values.items() for part in ("-p", f"{name}:={value}")]


def show(percent: Mapping[str, float], size: tuple[int, int], fps: float) -> None:
    """Print the table in Markdown.

    Args:
        percent: result of `measure`.
        size: image width and height in pixels.
        fps: frame rate of the camera.
    """
    print(f"| no prompt, no subscriber, {size[0]}x{size[1]} at {fps:g} Hz | % of a core |\n|---|---|")
    for name, value in percent.items():
        print(f"| {name} | {value:.1f} |")
    print(f"target below {TARGET_PERCENT:g} %: {'met' if percent['node'] < TARGET_PERCENT else 'MISSED'}")
