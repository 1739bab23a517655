# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with other distributions finds what they lack. Two small distributions and a small checkout stand for the real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.compare_distributions import Comparison, dependencies, main
from tools.ros_sources import Distribution
from tools.ros_usage import read_usage

ROOT = Path(__file__).resolve().parent.parent
NEW = {
    "rclpy/rclpy/__init__.py": "from .utilities import try_shutdown\n",
    "rclpy/rclpy/utilities.py": "def try_shutdown(*, context=None): ...\n",
    "rclpy/rclpy/node.py": """
class Node:
    def __init__(self, name, *, context=None, logger_service=False): ...
    def create_timer(self, period, callback, group=None, autostart=True): ...
    def wait_for_node(self, name, timeout): ...
""",
    "rclpy/rclpy/lifecycle.py": """
from rclpy.node import Node
class Mixin:
    def __init__(self, *, communication=True): ...
class LifecycleNode(Mixin, Node):
    def __init__(self, name, *, communication=True, **kwargs): ...
""",
    "rclpy/rclpy/qos.py": """
class QoSProfile:
    __slots__ = ("_depth", "_durability")
    def __init__(self, **kwargs): ...
""",
    "rclpy/src/rclpy/timer.cpp": 'class_<Timer>(m, "Timer").def(\n  "is_ready", &Timer::is_ready)',
    "rclpy/package.xml": "<package><name>rclpy</name><version>9.0.0</version></package>",
    "sensor_msgs/msg/Image.msg": "std_msgs/Header header\nuint8[] data  # pixels\nuint8 RAW=1\nfloat64 stride",
    "sensor_msgs/package.xml": "<package><name>sensor_msgs</name><version>5.0.0</version></package>",
    "std_msgs/msg/Header.msg": "string frame_id",
    "std_msgs/package.xml": "<package><name>std_msgs</name><version>5.0.0</version></package>",
    "launch/launch/__init__.py": "",
    "launch/launch/actions/__init__.py": "from .execute import Execute\n",
    "launch/launch/actions/execute.py": """
class Action:
    def __init__(self, condition=None): ...
class Execute(Action):
    def __init__(self, *, cmd, respawn=False, **kwargs): ...
""",
    "launch/package.xml": "<package><name>launch</name><version>3.0.0</version></package>",
}
CODE = """
import rclpy
from launch.actions import Execute
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

class Node(LifecycleNode):
    def __init__(self):
        super().__init__("name", logger_service=True, context=None)
        self.create_timer(1.0, print, autostart=False).is_ready()
        self.wait_for_node("other", 1.0)
        QoSProfile(depth=1)
        Image(data=b"", stride=1.0).header.frame_id, Image.RAW
        common = {"respawn": True, "condition": None}
        Execute(cmd=[], **common)
        rclpy.try_shutdown(context=None)
"""
OLDER = [
    ("rclpy/rclpy/__init__.py", "from .utilities import try_shutdown", "", "rclpy has no try_shutdown"),
    ("rclpy/rclpy/utilities.py", "*, context=None", "", "rclpy.try_shutdown does not accept keyword context"),
    ("rclpy/rclpy/node.py", ", logger_service=False", "", "rclpy.lifecycle.LifecycleNode does not accept keyword logger_service"),
    ("rclpy/rclpy/node.py", ", autostart=True", "", "no method with these arguments: create_timer(..., ..., autostart=)"),
    ("rclpy/rclpy/node.py", "def wait_for_node(self, name, timeout): ...", "", "no method of this name: wait_for_node(..., ...)"),
    ("rclpy/rclpy/qos.py", "_depth", "_history", "rclpy.qos.QoSProfile does not accept keyword depth"),
    ("launch/launch/actions/execute.py", "respawn=False, ", "", "launch.actions.Execute does not accept keyword respawn"),
    ("sensor_msgs/msg/Image.msg", "float64 stride", "", "sensor_msgs/msg/Image has no field stride"),
    ("sensor_msgs/msg/Image.msg", "float64 stride", "uint32 stride", "sensor_msgs/msg/Image: field stride is uint32, not float64"),
    ("sensor_msgs/msg/Image.msg", "uint8 RAW=1", "", "sensor_msgs/msg/Image has no constant RAW"),
    ("std_msgs/msg/Header.msg", "frame_id", "seq", "std_msgs/msg/Header has no field frame_id"),
]
"""File, a text in it, what an older distribution has there, and the line of the report."""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def missing(folder: Path, files: dict[str, str]) -> list[str]:
    checkout = write(folder / "checkout", {"lang2segtrack_ros/node.py": CODE})
    new = Distribution.below("new", write(folder / "new", NEW))
    old = Distribution.below("old", write(folder / "old", files))
    return Comparison(read_usage(checkout, {"rclpy", "sensor_msgs", "launch"}), old, [new], set()).missing()


def test_the_same_sources_lack_nothing(tmp_path: Path) -> None:
    """A line about something that is there would hide the true ones. Base classes, slots and C++ methods are such traps."""
    assert missing(tmp_path, NEW) == []


@pytest.mark.parametrize(("file", "new", "old", "line"), OLDER)
def test_older_sources_lack_one_thing(tmp_path: Path, file: str, new: str, old: str, line: str) -> None:
    """Each kind of use has its line."""
    assert new in NEW[file]
    lines = missing(tmp_path, {**NEW, file: NEW[file].replace(new, old)})
    assert any(item.startswith(line) for item in lines), lines


def test_the_code_is_read_whole() -> None:
    """A reader that overlooks the launch file, message names in texts or own interfaces would report no problem."""
    required, optional = dependencies(ROOT)
    usage = read_usage(ROOT, required | optional)
    assert {"launch_ros.actions:Node", "rclpy.lifecycle:LifecycleNode", "rclpy:init"} <= set(usage.imports)
    assert {"sensor_msgs/msg/Image", "foxglove_msgs/msg/ImageAnnotations", "vision_msgs/msg/Detection2DArray"} <= set(usage.types)
    assert any(call.target == "create_subscription" for call in usage.methods)


def test_a_wrong_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--sources", "humble=/nowhere"])
    assert "humble=/nowhere" in capsys.readouterr().err
