# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Points from RViz's "Publish Point", sent to track_node in its own process: their pixels, their transforms, and refusals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Point, PointStamped, Quaternion, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.rays import project
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.clicked_points import MAX_WAITING, pixel_of
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.rle import Rle
from test.conftest import iou
from test.ros.nodes.node_tester import TOY, NodeTester

OPTICAL = "camera_color_optical_frame"
QUARTER_TURN = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # rotation by 90 degrees about z
# The camera is fixed to base, and base moves in map: a click in map needs both transforms.
MAST = RigidTransform.from_quaternion(QUARTER_TURN, (0.1, -0.2, 0.3))
BASE = RigidTransform.from_quaternion((0.5, 0.5, 0.5, 0.5), (4.0, -2.0, 0.5))


class ClickTester(NodeTester):
    """Node tester that also publishes clicked points, transforms and camera_info."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.click_publisher = self.node.create_publisher(PointStamped, "clicked_point", QoSProfile(depth=20))
        self.tf = self.node.create_publisher(TFMessage, "/tf", QoSProfile(depth=20))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.static_tf = self.node.create_publisher(TFMessage, "/tf_static", latched)
        self.info = self.node.create_publisher(CameraInfo, "color/camera_info", QoSProfile(depth=2))

    def click(self, point: tuple[float, ...], frame_id: str = OPTICAL) -> None:
        x, y, z = point
        self.click_publisher.publish(PointStamped(header=Header(frame_id=frame_id), point=Point(x=x, y=y, z=z)))

    def calibrate(self, scene: Scene) -> None:
        camera = scene.camera
        k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        self.info.publish(CameraInfo(header=Header(frame_id=OPTICAL), width=camera.width, height=camera.height, k=k))

    def show_once(self, frame: SceneFrame, scene: Scene | None) -> int:
        """Publish an image and, if a scene is given, its camera_info. Return the number of tracks."""
        if scene is not None:
            self.calibrate(scene)
        return len(self.step(frame).tracks)

    def refused_count(self, reason: str) -> int:
        return int(self.diagnostics(f"skipped_clicked_point_{reason}") or 0)


def make_transform(parent: str, child: str, motion: RigidTransform, quaternion: tuple[float, ...]) -> TransformStamped:
    transform = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
    transform.transform.translation = Vector3(**dict(zip("xyz", map(float, motion.translation))))
    transform.transform.rotation = Quaternion(**dict(zip("xyzw", quaternion)))
    return transform


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickTester]:
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "detector:=''", "-p", "use_depth:=false"])
        tester = ClickTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)
        yield tester
        tester.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    """Reset the node before each test that uses it."""
    if "tester" in request.fixturenames:
        tester = request.getfixturevalue("tester")
        tester.call(Trigger, "reset")
        tester.step(request.getfixturevalue("frames")[0])


def is_tracked(tester: ClickTester, frame: SceneFrame, scene: Scene, body: int) -> bool:
    """Return True if exactly one track appears on the next images and covers this body."""
    for _ in range(20):
        if tester.show_once(frame, scene):
            break
    (track,) = tester.received["tracks"][-1].tracks
    mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
    return iou(mask, frame.instances == body) > 0.6


@pytest.mark.parametrize("body", [1, 2])
def test_click_in_camera_frame_needs_no_transform(tester: ClickTester, frames: list[SceneFrame], scene: Scene, body: int) -> None:
    tester.click(frames[0].bodies[body].center)
    assert is_tracked(tester, frames[0], scene, body)


def test_click_in_map_uses_moving_and_static_transforms(tester: ClickTester, frames: list[SceneFrame], scene: Scene) -> None:
    """/tf connects map and base, /tf_static connects base and camera. The clicked point lies on body 2."""
    camera_to_map = BASE.after(MAST)
    tester.static_tf.publish(TFMessage(transforms=[make_transform("base", OPTICAL, MAST, QUARTER_TURN)]))
    tester.click(tuple(camera_to_map.rotation @ np.array(frames[0].bodies[2].center) + camera_to_map.translation), "map")
    for _ in range(20):
        tester.tf.publish(TFMessage(transforms=[make_transform("map", "base", BASE, (0.5, 0.5, 0.5, 0.5))]))
        if tester.show_once(frames[0], scene):
            break
    assert is_tracked(tester, frames[0], scene, 2)


@pytest.mark.parametrize(
    ("point", "frame_id", "calibrated", "reason"),
    [
        ((0.0, 0.0, -1.0), OPTICAL, True, "behind_camera"),
        ((0.0, 0.0, 0.0), OPTICAL, True, "behind_camera"),
        ((9.0, 0.0, 1.0), OPTICAL, True, "outside_image"),
        ((0.0, 0.0, 1.0), OPTICAL, False, "no_camera_info"),
        ((0.0, 0.0, 1.0), "moon", True, "no_transform"),
        ((0.0, 0.0, 1.0), "", True, "no_frame"),
        ((math.nan, 0.0, 1.0), OPTICAL, True, "not_finite"),
    ],
)
def test_refused_click_is_counted_by_reason(
    tester: ClickTester, frames: list[SceneFrame], scene: Scene, point: tuple[float, ...], frame_id: str, calibrated: bool, reason: str
) -> None:
    before = tester.refused_count(reason)
    tester.click(point, frame_id)
    for _ in range(60):
        assert tester.show_once(frames[0], scene if calibrated else None) == 0
        if tester.refused_count(reason) > before:
            return
    raise AssertionError(f"{reason} was never counted")


def test_number_of_waiting_clicks_is_limited(tester: ClickTester, frames: list[SceneFrame]) -> None:
    """Clicks beyond the limit are refused at once. The waiting clicks time out. All of them are counted."""
    before = {reason: tester.refused_count(reason) for reason in ("too_many", "no_camera_info")}
    for _ in range(MAX_WAITING + 5):
        tester.click((0.0, 0.0, 1.0))
        tester.spin(0.02)

    def are_all_counted() -> bool:
        new = {reason: tester.refused_count(reason) - count for reason, count in before.items()}
        return new == {"too_many": 5, "no_camera_info": MAX_WAITING}

    assert any(are_all_counted() for _ in range(8))
    assert tester.show_once(frames[0], None) == 0


def test_unconfigured_node_does_not_subscribe_clicks(tmp_path: Path) -> None:
    """An unconfigured node ignores clicks and keeps running."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "autostart:=false"])
        tester = ClickTester(int(environment["ROS_DOMAIN_ID"]))
        try:
            assert not tester.call(Trigger, "reset", timeout=60.0).success
            tester.click((0.0, 0.0, 1.0))
            tester.spin(0.5)
            assert tester.node.count_subscribers("clicked_point") == 0
            assert process.poll() is None
        finally:
            tester.close()


DISTORTED = CameraModel(600.0, 600.0, 320.0, 240.0, 640, 480, OPTICAL, (-0.35, 0.0, 0.0, 0.0, 0.0))


def test_distorted_point_stays_inside_image() -> None:
    """Barrel distortion moves the point toward the center. A pinhole camera would see it outside the image."""
    column, row = pixel_of(np.array([0.56, 0.0, 1.0]), DISTORTED)
    assert 320 + 0.56 * 600 > 640 > column > 600
    assert row == pytest.approx(240)


def test_point_folded_back_by_distortion_is_outside_image() -> None:
    """At 56 degrees off the axis, the distortion polynomial decreases again and gives a pixel inside the image."""
    one = np.ones(1, np.float32)
    assert project(1.5 * one, 0 * one, one, DISTORTED)[0][0] < 640
    with pytest.raises(ConversionError, match="lies outside the image") as raised:
        pixel_of(np.array([1.5, 0.0, 1.0]), DISTORTED)
    assert raised.value.reason == "outside_image"
