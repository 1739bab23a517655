# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every check, shown something broken: it must see it, name it, and say what to do. And shown what is whole: it must keep quiet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from lang2segtrack_ros.doctor import graph, ros_install, software
from lang2segtrack_ros.doctor.finding import Finding, Level, probe
from lang2segtrack_ros.doctor.graph import Endpoint, Topic
from lang2segtrack_ros.io.image_messages import COLOR_ENCODINGS
from lang2segtrack_ros.models.catalogue import HOME_VARIABLE, TOY_FOLDER

ROOT = Path(__file__).resolve().parent.parent.parent
RELIABLE = QoSProfile(depth=1)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
IMAGE = "sensor_msgs/msg/Image"


def bad(finding: Finding | None, level: Level, *words: str) -> None:
    """Fails unless a finding has the level, advice, and the words."""
    assert finding is not None
    assert finding.level is level, finding
    assert finding.advice, "a problem without advice helps nobody"
    for word in words:
        assert word in str(finding)


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """An environment in which several packages are broken, as real ones break: when they are imported."""
    for name, code in {
        "torchvision": "raise RuntimeError('operator torchvision::nms does not exist')",
        "scipy": "raise ImportError('numpy.core.multiarray failed to import')",
        "pycocotools": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "rclpy": "raise ImportError('_rclpy_pybind11.cpython-310 is for another Python')",
        "composition_interfaces": "raise ModuleNotFoundError('No module named composition_interfaces.srv')",
        "tf2_msgs": "raise ModuleNotFoundError('No module named tf2_msgs.msg')",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code)
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "ROS_DISTRO": "kilted"}


def test_python() -> None:
    bad(software.check_python((3, 8, 10)), Level.ERROR, "3.8.10", "3.10 or newer")
    assert software.check_python().level is Level.OK


def test_packages(broken: dict[str, str]) -> None:
    bad(software.check_package("scipy>=1.11", "scipy", broken), Level.ERROR, "another NumPy")
    bad(software.check_package("pycocotools>=2.0.8", "pycocotools", broken), Level.ERROR, "signal 11", "pip install")
    bad(software.check_package("nosuch>=1", "nosuch"), Level.ERROR, "No module named 'nosuch'", "pip install 'nosuch>=1'")
    bad(software.check_package("numpy>=99", "numpy"), Level.ERROR, ">=99 is needed")
    assert software.check_package("numpy>=1.26,<3", "numpy").level is Level.OK


def test_what_is_needed_is_what_the_package_declares() -> None:
    declared = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]")[0]
    assert set(software.REQUIREMENTS) == {line.strip(' ",') for line in declared.splitlines() if line.strip()}


@pytest.mark.parametrize(
    ("version", "rules", "fit"),
    [
        ("2.13.0+cpu", ">=2.4", True),
        ("2.3.1", ">=2.4", False),
        ("6.0.0", ">=5.0,<6", False),
        ("5.10", ">=5.9,<6", True),
        ("3", "<3", False),
    ],
)
def test_versions(version: str, rules: str, fit: bool) -> None:
    assert software.fits(version, rules) is fit


def test_torchvision(broken: dict[str, str]) -> None:
    bad(software.check_torchvision(broken), Level.ERROR, "torchvision::nms", "pip uninstall torchvision")
    assert software.check_torchvision().level is Level.OK


def test_gpu() -> None:
    bad(software.check_gpu(["RTX 4090"], "2.13.0+cpu", None, False), Level.ERROR, "RTX 4090", "CPU build", "pip install")
    bad(software.check_gpu(["RTX 4090"], "2.13.0", "13.0", False), Level.ERROR, "CUDA 13.0", "driver")
    bad(software.check_gpu([], "2.13.0", None, False), Level.WARNING, "CPU")
    assert software.check_gpu(["RTX 4090"], "2.13.0", "13.0", True).level is Level.OK


def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    bad(software.check_weights("sam2.1-tiny", "segmenter"), Level.WARNING, str(tmp_path), "weights fetch sam2.1-tiny")
    bad(software.check_weights("sam77", "segmenter"), Level.WARNING, "weights list")
    torn = tmp_path / "sam2.1-tiny"
    shutil.copytree(TOY_FOLDER / "segmenter", torn)
    with (torn / "model.safetensors").open("ab") as file:
        file.write(b"x")
    bad(software.check_weights("sam2.1-tiny", "segmenter"), Level.ERROR, "model.safetensors has changed")
    assert software.check_weights("toy", "detector").level is Level.OK


def test_ros(broken: dict[str, str]) -> None:
    bad(ros_install.check_rclpy(broken), Level.ERROR, "another Python", "ROS kilted was built for")
    missing = {**broken, "ROS_DISTRO": ""}
    bad(ros_install.check_rclpy(missing, ["humble", "jazzy"]), Level.ERROR, "source /opt/ros/jazzy/setup.bash")
    bad(ros_install.check_rclpy(missing, []), Level.ERROR, "install ROS 2")
    assert ros_install.check_rclpy().level is Level.OK


def test_messages(broken: dict[str, str]) -> None:
    bad(ros_install.check_messages("tf2_msgs", broken), Level.ERROR, "ros-$ROS_DISTRO-tf2-msgs")
    bad(ros_install.check_composition(broken), Level.WARNING, "component_container", "ros-$ROS_DISTRO-composition-interfaces")
    bad(ros_install.check_messages("lang2segtrack", {**os.environ, "PYTHONPATH": str(ROOT)}), Level.ERROR, "colcon build")
    bad(ros_install.check_numpy_in_messages(broken), Level.ERROR, 'pip install "numpy<2"')
    assert ros_install.check_messages("vision_msgs").level is Level.OK
    assert ros_install.check_composition().level is Level.OK
    assert ros_install.check_numpy_in_messages().level is Level.OK


def test_transport() -> None:
    (first, second) = ros_install.check_transport({}, 2**20, None)
    bad(first, Level.WARNING, "fast_dds.xml")
    bad(second, Level.WARNING, "/dev/shm has 1 MB", "--shm-size")
    (first, second) = ros_install.check_transport({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, 2**30, 212992)
    assert first.level is Level.OK
    bad(second, Level.WARNING, "212992", "sysctl")
    (only,) = ros_install.check_transport({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, 2**30, 212992)
    assert only.level is Level.OK


def test_discovery() -> None:
    bad(ros_install.check_discovery({"ROS_DOMAIN_ID": "seven"}), Level.ERROR, "seven")
    bad(ros_install.check_discovery({"ROS_AUTOMATIC_DISCOVERY_RANGE": "off"}), Level.ERROR, "nobody is seen")
    assert "this machine only" in ros_install.check_discovery({"ROS_LOCALHOST_ONLY": "1"}).text
    assert ros_install.check_discovery({}).level is Level.OK


def topic(name: str = "/color", published: QoSProfile = RELIABLE, subscribed: QoSProfile = RELIABLE, kind: str = IMAGE) -> Topic:
    return Topic(name, [Endpoint("/camera", kind, published)], [Endpoint("/viewer", kind, subscribed)], 30, 3.0)


@pytest.mark.parametrize(("published", "subscribed"), [(BEST_EFFORT, RELIABLE), (RELIABLE, LATCHED)])
def test_qos_mismatches_name_both_sides(published: QoSProfile, subscribed: QoSProfile) -> None:
    (finding,) = graph.check_qos(topic("/color", published, subscribed))
    bad(finding, Level.ERROR, "/camera publishes", "/viewer subscribes", "QoS of /color")


@pytest.mark.parametrize(("published", "subscribed"), [(RELIABLE, BEST_EFFORT), (LATCHED, RELIABLE), (RELIABLE, RELIABLE)])
def test_qos_that_fits_is_not_reported(published: QoSProfile, subscribed: QoSProfile) -> None:
    assert graph.check_qos(topic("/color", published, subscribed)) == []


def test_traffic() -> None:
    bad(graph.check_traffic(Topic("/color"), [IMAGE], True), Level.ERROR, "nobody publishes")
    bad(graph.check_traffic(Topic("/depth"), [IMAGE], False), Level.WARNING, "nobody publishes")
    bad(graph.check_traffic(topic(kind="std_msgs/msg/String"), [IMAGE], True), Level.ERROR, "/camera publishes std_msgs/msg/String")
    silent = topic()
    silent.received = 0
    bad(
        graph.check_traffic(silent, [IMAGE], True),
        Level.ERROR,
        "/camera publishes it, but nothing arrived in 3 s",
        "FASTDDS_DEFAULT_PROFILES_FILE=",
    )
    assert "10.0 messages a second from /camera" in graph.check_traffic(topic(), [IMAGE], True).text


def image(encoding: str = "rgb8", frame: str = "eye", seconds: int = 1) -> Image:
    made = Image(width=64, height=48, encoding=encoding)
    made.header.frame_id, made.header.stamp.sec = frame, seconds
    return made


def test_images() -> None:
    bad(graph.check_image(Topic("/c", last=image("strange8")), COLOR_ENCODINGS), Level.ERROR, "strange8", "rgb8")
    bad(graph.check_image(Topic("/c", last=image(seconds=0)), COLOR_ENCODINGS), Level.WARNING, "stamp is 0")
    assert graph.check_image(Topic("/c", last=image()), COLOR_ENCODINGS).level is Level.OK
    assert graph.check_image(Topic("/c"), COLOR_ENCODINGS) is None


def test_cameras() -> None:
    color = Topic("/c", last=image())
    k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    bad(graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=48))), Level.ERROR, "calibrate")
    bad(graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=64, k=k))), Level.ERROR, "belongs to /c")
    assert graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=48, k=k))).level is Level.OK
    assert graph.check_camera(color, Topic("/i")) is None


def test_depth_beside_colour() -> None:
    color = Topic("/c", last=image())
    bad(graph.check_depth_fits(color, Topic("/d", last=image("16UC1", seconds=90))), Level.ERROR, "89.0 s", "synchronise")
    bad(graph.check_depth_fits(color, Topic("/d", last=image("16UC1", "other"))), Level.WARNING, "not aligned", "align_depth")
    assert graph.check_depth_fits(color, Topic("/d", last=image("16UC1"))).level is Level.OK
    assert graph.check_depth_fits(color, Topic("/d")) is None


def test_probe_tells_how_it_failed() -> None:
    assert probe("pass") == ""
    assert probe("raise SystemExit(3)") == "exit code 3"
    assert "ZeroDivisionError" in probe("1 / 0")
