# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""RViz's "Publish Point" on track_node as a process of its own: where the point lands, through which frames, and what is refused."""

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

from lang2segtrack_ros.geometry.alignment import Rigid
from lang2segtrack_ros.geometry.rays import project
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.clicked_points import MAX_WAITING, pixel_of
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.rle import Rle
from test.conftest import iou
from test.ros.nodes.test_track_node import TOY, Outsider

OPTICAL = "camera_color_optical_frame"
HALF_TURN = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))  # a quarter turn about z
# base -> mast never moves, map -> base does: a click in map needs both.
MAST = Rigid.from_quaternion(HALF_TURN, (0.1, -0.2, 0.3))
BASE = Rigid.from_quaternion((0.5, 0.5, 0.5, 0.5), (4.0, -2.0, 0.5))


class Clicker(Outsider):
    """An outsider who clicks, and publishes transforms."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.pointer = self.node.create_publisher(PointStamped, "clicked_point", QoSProfile(depth=20))
        self.tf = self.node.create_publisher(TFMessage, "/tf", QoSProfile(depth=20))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.static = self.node.create_publisher(TFMessage, "/tf_static", latched)
        self.info = self.node.create_publisher(CameraInfo, "color/camera_info", QoSProfile(depth=2))

    def click(self, point: tuple[float, ...], frame_id: str = OPTICAL) -> None:
        x, y, z = point
        self.pointer.publish(PointStamped(header=Header(frame_id=frame_id), point=Point(x=x, y=y, z=z)))

    def calibrate(self, scene: Scene) -> None:
        camera = scene.camera
        k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        self.info.publish(CameraInfo(header=Header(frame_id=OPTICAL), width=camera.width, height=camera.height, k=k))

    def go_on(self, frame: SceneFrame, scene: Scene | None) -> int:
        """Shows an image and, where there is a scene, its camera_info; the number of objects."""
        if scene is not None:
            self.calibrate(scene)
        return len(self.step(frame).tracks)

    def refused(self, reason: str) -> int:
        return int(self.diagnostics(f"skipped_clicked_point_{reason}") or 0)


def link(parent: str, child: str, motion: Rigid, quaternion: tuple[float, ...]) -> TransformStamped:
    transform = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
    transform.transform.translation = Vector3(**dict(zip("xyz", map(float, motion.translation))))
    transform.transform.rotation = Quaternion(**dict(zip("xyzw", quaternion)))
    return transform


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clicker]:
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "detector:=''", "-p", "use_depth:=false"])
        clicker = Clicker(int(environment["ROS_DOMAIN_ID"]))
        clicker.call(Trigger, "reset", timeout=120.0)
        yield clicker
        clicker.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest) -> None:
    """Only for tests of the node."""
    if "outside" in request.fixturenames:
        outside = request.getfixturevalue("outside")
        outside.call(Trigger, "reset")
        outside.step(request.getfixturevalue("frames")[0])


def follows(outside: Clicker, frame: SceneFrame, scene: Scene, body: int) -> bool:
    """Whether, on images from now on, exactly one object appears and is this body."""
    for _ in range(20):
        if outside.go_on(frame, scene):
            break
    (track,) = outside.heard["tracks"][-1].tracks
    mask = Rle(track.mask.height, track.mask.width, track.mask.counts).decode()
    return iou(mask, frame.instances == body) > 0.6


@pytest.mark.parametrize("body", [1, 2])
def test_a_click_in_the_camera_frame_needs_no_transform(outside: Clicker, frames: list[SceneFrame], scene: Scene, body: int) -> None:
    outside.click(frames[0].bodies[body].center)
    assert follows(outside, frames[0], scene, body)


def test_a_click_on_the_map_goes_through_moving_and_still_frames(outside: Clicker, frames: list[SceneFrame], scene: Scene) -> None:
    """map -> base on /tf, base -> camera on /tf_static; the point is put where the camera sees body 2."""
    at = BASE.after(MAST)  # from the camera's frame to map
    outside.static.publish(TFMessage(transforms=[link("base", OPTICAL, MAST, HALF_TURN)]))
    outside.click(tuple(at.rotation @ np.array(frames[0].bodies[2].center) + at.translation), "map")
    for _ in range(20):
        outside.tf.publish(TFMessage(transforms=[link("map", "base", BASE, (0.5, 0.5, 0.5, 0.5))]))
        if outside.go_on(frames[0], scene):
            break
    assert follows(outside, frames[0], scene, 2)


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
def test_what_cannot_be_placed_is_counted_by_its_reason(
    outside: Clicker, frames: list[SceneFrame], scene: Scene, point: tuple[float, ...], frame_id: str, calibrated: bool, reason: str
) -> None:
    before = outside.refused(reason)
    outside.click(point, frame_id)
    for _ in range(60):
        assert outside.go_on(frames[0], scene if calibrated else None) == 0
        if outside.refused(reason) > before:
            return
    raise AssertionError(f"{reason} was never counted")


def test_a_flood_is_bounded(outside: Clicker, frames: list[SceneFrame]) -> None:
    """More clicks than may wait: the rest is refused at once, and those that wait run out of time; all of them are counted."""
    before = {reason: outside.refused(reason) for reason in ("too_many", "no_camera_info")}
    for _ in range(MAX_WAITING + 5):
        outside.click((0.0, 0.0, 1.0))
        outside.spin(0.02)

    def counted() -> bool:
        new = {reason: outside.refused(reason) - count for reason, count in before.items()}
        return new == {"too_many": 5, "no_camera_info": MAX_WAITING}

    assert any(counted() for _ in range(8))
    assert outside.go_on(frames[0], None) == 0


def test_a_node_without_networks_refuses(tmp_path: Path) -> None:
    """An unconfigured node does not listen, and does not fall over."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        process = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "autostart:=false"])
        clicker = Clicker(int(environment["ROS_DOMAIN_ID"]))
        try:
            assert not clicker.call(Trigger, "reset", timeout=60.0).success
            clicker.click((0.0, 0.0, 1.0))
            clicker.spin(0.5)
            assert clicker.node.count_subscribers("clicked_point") == 0
            assert process.poll() is None
        finally:
            clicker.close()


BENT = CameraModel(600.0, 600.0, 320.0, 240.0, 640, 480, OPTICAL, (-0.35, 0.0, 0.0, 0.0, 0.0))


def test_pixels_of_a_camera_that_bends_lines() -> None:
    """A barrel distortion pulls the point towards the middle, where a pinhole camera would see it outside the image."""
    column, row = pixel_of(np.array([0.56, 0.0, 1.0]), BENT)
    assert 320 + 0.56 * 600 > 640 > column > 600
    assert row == pytest.approx(240)


def test_a_folded_back_point_is_outside() -> None:
    """At 56 degrees to the side the distortion polynomial has turned round and gives a pixel inside the image."""
    one = np.ones(1, np.float32)
    assert project(1.5 * one, 0 * one, one, BENT)[0][0] < 640
    with pytest.raises(ConversionError, match="looks past") as raised:
        pixel_of(np.array([1.5, 0.0, 1.0]), BENT)
    assert raised.value.reason == "outside_image"
