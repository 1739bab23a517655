# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Every check on broken and on working inputs. A check must name the problem and give advice, and must accept working inputs."""

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


def assert_problem(finding: Finding | None, level: Level, *words: str) -> None:
    """Assert that a finding has this level, advice and these words."""
    assert finding is not None
    assert finding.level is level, finding
    assert finding.advice, "each problem needs advice"
    for word in words:
        assert word in str(finding)


@pytest.fixture
def broken(tmp_path: Path) -> dict[str, str]:
    """An environment in which several packages fail at import, with the errors of real installations."""
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


def test_old_python_is_an_error() -> None:
    assert_problem(software.check_python((3, 8, 10)), Level.ERROR, "3.8.10", "3.10 or newer")
    assert software.check_python().level is Level.OK


def test_broken_and_outdated_packages_are_errors(broken: dict[str, str]) -> None:
    assert_problem(software.check_package("scipy>=1.11", "scipy", broken), Level.ERROR, "another NumPy")
    assert_problem(software.check_package("pycocotools>=2.0.8", "pycocotools", broken), Level.ERROR, "signal 11", "pip install")
    assert_problem(software.check_package("nosuch>=1", "nosuch"), Level.ERROR, "No module named 'nosuch'", "pip install 'nosuch>=1'")
    assert_problem(software.check_package("numpy>=99", "numpy"), Level.ERROR, ">=99 is required")
    assert software.check_package("numpy>=1.26,<3", "numpy").level is Level.OK


def test_requirements_match_the_package_metadata() -> None:
    declared = (ROOT / "pyproject.toml").read_text().partition("dependencies = [")[2].partition("]")[0]
    assert set(software.REQUIREMENTS) == {line.strip(' ",') for line in declared.splitlines() if line.strip()}


@pytest.mark.parametrize(
    ("version", "rules", "expected"),
    [
        ("2.13.0+cpu", ">=2.4", True),
        ("2.3.1", ">=2.4", False),
        ("6.0.0", ">=5.0,<6", False),
        ("5.10", ">=5.9,<6", True),
        ("3", "<3", False),
    ],
)
def test_version_rules(version: str, rules: str, expected: bool) -> None:
    assert software.satisfies(version, rules) is expected


def test_incompatible_torchvision_is_an_error(broken: dict[str, str]) -> None:
    assert_problem(software.check_torchvision(broken), Level.ERROR, "torchvision::nms", "pip uninstall torchvision")
    assert software.check_torchvision().level is Level.OK


def test_unusable_gpu_is_an_error() -> None:
    assert_problem(software.check_gpu(["RTX 4090"], "2.13.0+cpu", None, False), Level.ERROR, "RTX 4090", "CPU build", "pip install")
    assert_problem(software.check_gpu(["RTX 4090"], "2.13.0", "13.0", False), Level.ERROR, "CUDA 13.0", "driver")
    assert_problem(software.check_gpu([], "2.13.0", None, False), Level.WARNING, "CPU")
    assert software.check_gpu(["RTX 4090"], "2.13.0", "13.0", True).level is Level.OK


def test_missing_and_changed_weights_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    assert_problem(software.check_weights("sam2.1-tiny", "segmenter"), Level.WARNING, str(tmp_path), "weights fetch sam2.1-tiny")
    assert_problem(software.check_weights("sam77", "segmenter"), Level.WARNING, "lang2segtrack models")
    changed = tmp_path / "sam2.1-tiny"
    shutil.copytree(TOY_FOLDER / "segmenter", changed)
    with (changed / "model.safetensors").open("ab") as file:
        file.write(b"x")
    assert_problem(software.check_weights("sam2.1-tiny", "segmenter"), Level.ERROR, "model.safetensors has changed")
    assert software.check_weights("toy", "detector").level is Level.OK
    assert software.check_weights("grounding-dino:toy", "detector").level is Level.OK


def test_plugins_are_accepted_instead_of_weights() -> None:
    """A plug-in has no files to check, but it must be importable."""
    detector = "lang2segtrack_ros.detection.grounding_dino:GroundingDinoDetector"
    assert software.check_weights(detector, "detector").level is Level.OK
    assert_problem(software.check_weights("missing_module:Detector", "detector"), Level.ERROR, "missing_module", "docs/extend.md")


def test_broken_rclpy_is_an_error(broken: dict[str, str]) -> None:
    assert_problem(ros_install.check_rclpy(broken), Level.ERROR, "another Python", "ROS kilted was built for")
    missing = {**broken, "ROS_DISTRO": ""}
    assert_problem(ros_install.check_rclpy(missing, ["humble", "jazzy"]), Level.ERROR, "source /opt/ros/jazzy/setup.bash")
    assert_problem(ros_install.check_rclpy(missing, []), Level.ERROR, "install ROS 2")
    assert ros_install.check_rclpy().level is Level.OK


def test_broken_message_packages_are_reported(broken: dict[str, str]) -> None:
    assert_problem(ros_install.check_messages("tf2_msgs", broken), Level.ERROR, "ros-$ROS_DISTRO-tf2-msgs")
    assert_problem(ros_install.check_composition(broken), Level.WARNING, "component_container", "ros-$ROS_DISTRO-composition-interfaces")
    assert_problem(ros_install.check_messages("lang2segtrack", {**os.environ, "PYTHONPATH": str(ROOT)}), Level.ERROR, "colcon build")
    assert_problem(ros_install.check_numpy_in_messages(broken), Level.ERROR, 'pip install "numpy<2"')
    assert ros_install.check_messages("vision_msgs").level is Level.OK
    assert ros_install.check_composition().level is Level.OK
    assert ros_install.check_numpy_in_messages().level is Level.OK


def test_transports_that_lose_images_are_reported() -> None:
    (first, second) = ros_install.check_transport({}, 2**20, None)
    assert_problem(first, Level.WARNING, "fast_dds.xml")
    assert_problem(second, Level.WARNING, "/dev/shm has 1 MB", "--shm-size")
    (first, second) = ros_install.check_transport({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, 2**30, 212992)
    assert first.level is Level.OK
    assert_problem(second, Level.WARNING, "212992", "sysctl")
    (only,) = ros_install.check_transport({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, 2**30, 212992)
    assert only.level is Level.OK


def test_discovery_settings_are_checked() -> None:
    assert_problem(ros_install.check_discovery({"ROS_DOMAIN_ID": "seven"}), Level.ERROR, "seven")
    assert_problem(ros_install.check_discovery({"ROS_AUTOMATIC_DISCOVERY_RANGE": "off"}), Level.ERROR, "no other node is found")
    assert "this machine only" in ros_install.check_discovery({"ROS_LOCALHOST_ONLY": "1"}).text
    assert ros_install.check_discovery({}).level is Level.OK


def topic(name: str = "/color", published: QoSProfile = RELIABLE, subscribed: QoSProfile = RELIABLE, kind: str = IMAGE) -> Topic:
    return Topic(name, [Endpoint("/camera", kind, published)], [Endpoint("/viewer", kind, subscribed)], 30, 3.0)


@pytest.mark.parametrize(("published", "subscribed"), [(BEST_EFFORT, RELIABLE), (RELIABLE, LATCHED)])
def test_incompatible_qos_names_both_nodes(published: QoSProfile, subscribed: QoSProfile) -> None:
    (finding,) = graph.check_qos(topic("/color", published, subscribed))
    assert_problem(finding, Level.ERROR, "/camera publishes", "/viewer subscribes", "QoS of /color")


@pytest.mark.parametrize(("published", "subscribed"), [(RELIABLE, BEST_EFFORT), (LATCHED, RELIABLE), (RELIABLE, RELIABLE)])
def test_compatible_qos_is_not_reported(published: QoSProfile, subscribed: QoSProfile) -> None:
    assert graph.check_qos(topic("/color", published, subscribed)) == []


def test_missing_and_silent_publishers_are_reported() -> None:
    assert_problem(graph.check_traffic(Topic("/color"), [IMAGE], True), Level.ERROR, "no node publishes")
    assert_problem(graph.check_traffic(Topic("/depth"), [IMAGE], False), Level.WARNING, "no node publishes")
    assert_problem(
        graph.check_traffic(topic(kind="std_msgs/msg/String"), [IMAGE], True), Level.ERROR, "/camera publishes std_msgs/msg/String"
    )
    silent = topic()
    silent.received = 0
    assert_problem(
        graph.check_traffic(silent, [IMAGE], True),
        Level.ERROR,
        "/camera publishes it, but nothing arrived in 3 s",
        "_DEFAULT_PROFILES_FILE=",
    )
    assert "10.0 messages per second from /camera" in graph.check_traffic(topic(), [IMAGE], True).text


def image(encoding: str = "rgb8", frame: str = "camera", seconds: int = 1) -> Image:
    message = Image(width=64, height=48, encoding=encoding)
    message.header.frame_id, message.header.stamp.sec = frame, seconds
    return message


def test_unusable_images_are_reported() -> None:
    assert_problem(graph.check_image(Topic("/c", last=image("strange8")), COLOR_ENCODINGS), Level.ERROR, "strange8", "rgb8")
    assert_problem(graph.check_image(Topic("/c", last=image(seconds=0)), COLOR_ENCODINGS), Level.WARNING, "stamp is 0")
    assert graph.check_image(Topic("/c", last=image()), COLOR_ENCODINGS).level is Level.OK
    assert graph.check_image(Topic("/c"), COLOR_ENCODINGS) is None


def test_unusable_camera_info_is_reported() -> None:
    color = Topic("/c", last=image())
    k = [60.0, 0.0, 31.5, 0.0, 60.0, 23.5, 0.0, 0.0, 1.0]
    assert_problem(graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=48))), Level.ERROR, "calibrate")
    assert_problem(graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=64, k=k))), Level.ERROR, "belongs to /c")
    assert graph.check_camera(color, Topic("/i", last=CameraInfo(width=64, height=48, k=k))).level is Level.OK
    assert graph.check_camera(color, Topic("/i")) is None


def test_unaligned_depth_is_reported() -> None:
    color = Topic("/c", last=image())
    assert_problem(graph.check_depth_alignment(color, Topic("/d", last=image("16UC1", seconds=90))), Level.ERROR, "89.0 s", "synchronize")
    assert_problem(
        graph.check_depth_alignment(color, Topic("/d", last=image("16UC1", "other"))), Level.WARNING, "not aligned", "align_depth"
    )
    assert graph.check_depth_alignment(color, Topic("/d", last=image("16UC1"))).level is Level.OK
    assert graph.check_depth_alignment(color, Topic("/d")) is None


def test_probe_returns_the_reason_of_a_failure() -> None:
    assert probe("pass") == ""
    assert probe("raise SystemExit(3)") == "exit code 3"
    assert "ZeroDivisionError" in probe("1 / 0")
