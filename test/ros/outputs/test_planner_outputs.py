# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What planners take from track_node in its own process: message by message as Nav2's layer, its following server and MoveIt read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointField
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from lang2segtrack.srv import RemoveTrack, SetTarget
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.outputs.planner_messages import COLORED
from lang2segtrack_ros.ros.support.interfaces import COLLISION_OBJECTS
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.ros.nodes.node_tester import TOY
from test.ros.outputs.planner_tester import BASE, CAMERA_IN_BASE, PlannerTester
from test.ros.outputs.test_spatial_outputs import DISTANCE, FOCAL, FRAME, truth

OPTIONS = ("detector:=''", "depth_wait_s:=1.0", f"target_frame:={BASE}", "box_orientation:=gravity", "semantic_classes:='body 2. body 1.'")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Processes, int]]:
    with isolated_environment() as environment, Processes(environment, tmp_path_factory.mktemp("logs")) as processes:
        arguments = [*TOY, *(part for option in OPTIONS for part in ("-p", option))]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        yield processes, int(environment["ROS_DOMAIN_ID"])
        processes.check()
        assert "Traceback" not in processes.log("track_node")


@pytest.fixture(scope="module")
def processes(graph: tuple[Processes, int]) -> Processes:
    return graph[0]


@pytest.fixture(scope="module")
def tester(graph: tuple[Processes, int]) -> Iterator[PlannerTester]:
    """Start a node that waits long for late depth and transforms, so no test depends on the speed of the machine."""
    tester = PlannerTester(graph[1])
    tester.call(Trigger, "reset", timeout=120.0)  # responds after the networks are loaded
    yield tester
    tester.close()


@pytest.fixture(scope="module")
def ids(tester: PlannerTester, frames: list[SceneFrame]) -> dict[int, int]:
    return tester.prompt_bodies(frames[0])


def in_base(point: np.ndarray) -> np.ndarray:
    return np.asarray(CAMERA_IN_BASE.rotation @ point + CAMERA_IN_BASE.translation)


def counter(tester: PlannerTester, name: str) -> int:
    return int(tester.diagnostics(name) or 0)


def test_transform_that_never_came_is_named(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """Must run first, before any transform. Upright boxes need the vertical, so detections_3d is skipped too, but not objects_cloud."""
    tester.show(frames[0].color)
    tester.show_depth(frames[0])
    assert tester.latest("objects_cloud") is not None
    assert tester.latest("detections_3d", 0.2) is None
    assert tester.spin(10.0, lambda: counter(tester, "skipped_3d_no_transform") > 0)


def test_mask_confidence_and_cloud_are_aligned(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """Nav2's layer reads mono8 images and float32 x, y, z with the same stamp, the same number of pixels, and NaN without depth."""
    tester.listen("semantic_mask", "semantic_confidence", "semantic_cloud")
    cloud = tester.show_all(frames[2], "semantic_cloud")
    mask, confidence = tester.latest("semantic_mask"), tester.latest("semantic_confidence")
    for message in (mask, confidence, cloud):
        assert (message.header.frame_id, stamp_ns(message.header.stamp)) == (FRAME, tester.stamp)
        assert (message.height, message.width) == (240, 320)
    assert (mask.encoding, mask.step, confidence.encoding) == ("mono8", 320, "mono8")
    classes = np.frombuffer(mask.data, np.uint8).reshape(240, 320)
    scores = np.frombuffer(confidence.data, np.uint8).reshape(240, 320)
    names = {item.class_id: item.class_name for item in tester.listen_to_classes().class_map}
    assert names == {0: "background", 1: "body 2", 2: "body 1"}
    assert set(np.unique(classes)) == {0, 1, 2}
    assert np.array_equal(classes > 0, scores > 0)
    for body, number in ((1, 2), (2, 1)):
        true = frames[2].instances == body
        assert np.count_nonzero((classes == number) & true) / np.count_nonzero((classes == number) | true) > 0.6
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
        (name, 4 * index, PointField.FLOAT32) for index, name in enumerate("xyz")
    ]
    assert (cloud.point_step, cloud.row_step, len(cloud.data), cloud.is_bigendian, cloud.is_dense) == (12, 3840, 240 * 3840, False, False)


def test_organized_cloud_is_the_depth_pixel_by_pixel(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """Each of the 76,800 points lies on the ray of its pixel, at the depth of its pixel. Pixels without depth are NaN."""
    holes = np.random.default_rng(3).random((240, 320)) < 0.3
    depth = np.full((240, 320), 4.0, np.float32)
    for body, distance in DISTANCE.items():
        depth[frames[2].instances == body] = distance
    depth[holes] = np.nan
    publish = tester.depth_camera.publish

    def pierce(message: Any) -> None:
        pixels = np.frombuffer(message.data, "<f4").reshape(240, 320).copy()
        pixels[holes] = 0.0  # no measurement, by REP 118
        message.data = pixels.tobytes()
        publish(message)

    camera, tester.depth_camera = tester.depth_camera, type("Camera", (), {"publish": staticmethod(pierce)})()
    try:
        cloud = tester.show_all(frames[2], "semantic_cloud")
    finally:
        tester.depth_camera = camera
    points = np.frombuffer(cloud.data, np.float32).reshape(240, 320, 3)
    rows, columns = np.indices((240, 320), dtype=np.float32)
    true = np.stack(((columns - 159.5) / FOCAL * depth, (rows - 119.5) / FOCAL * depth, depth), axis=-1)
    assert np.array_equal(np.isnan(points).any(axis=-1), holes)
    assert np.nanmax(np.abs(points - true)) < 1e-5


def test_costmap_layer_finds_each_class_in_its_place(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """The steps of Nav2's layer by hand: take three messages of one stamp, and go through pixels and points together by the fields'
    offsets. Skip points that are not finite, transform the others, and give each its class."""
    cloud = tester.show_all(frames[2], "semantic_cloud")
    mask, confidence = tester.latest("semantic_mask"), tester.latest("semantic_confidence")
    assert mask.header.stamp == confidence.header.stamp == cloud.header.stamp
    assert mask.width * mask.height == cloud.width * cloud.height == len(mask.data) == len(confidence.data)
    names = {item.class_name: item.class_id for item in tester.listen_to_classes().class_map}
    raw = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)
    offsets = {field.name: field.offset for field in cloud.fields}
    points = np.concatenate([raw[:, offsets[name] : offsets[name] + 4].copy().view("<f4") for name in "xyz"], axis=1).astype(np.float64)
    finite = np.isfinite(points[:, 2])
    in_map = points[finite] @ CAMERA_IN_BASE.rotation.T + CAMERA_IN_BASE.translation
    classes = np.frombuffer(mask.data, np.uint8)[finite]
    for body in DISTANCE:
        cells = in_map[classes == names[f"body {body}"]]
        assert np.linalg.norm(np.median(cells, axis=0) - in_base(truth(frames[2], body)[0])) < 0.03 * DISTANCE[body]
    assert np.median(in_map[classes == names["background"]][:, 0]) > 3.0, "the wall is background, and can clear cells"


def test_target_pose_follows_the_chosen_track(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """The following server transforms the pose to its fixed frame, and takes a stamp of the image as the age of the pose."""
    tester.listen("target_pose")
    for body in DISTANCE:
        answer = tester.call(SetTarget, "set_target", track_id=ids[body])
        assert answer.success, answer.message
        assert f"target_pose follows track {ids[body]} (body {body})" in answer.message
        pose = tester.show_all(frames[2], "target_pose")
        assert pose.header.frame_id == BASE
        at = pose.pose.position
        assert np.linalg.norm(np.array([at.x, at.y, at.z]) - in_base(truth(frames[2], body)[0])) < 0.02 * DISTANCE[body]
        q = pose.pose.orientation
        assert (q.x, q.y) == pytest.approx((0.0, 0.0), abs=1e-6), "an upright box is turned around the vertical only"


def test_target_must_exist(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """A wrong id changes nothing, and 0 ends the poses."""
    answer = tester.call(SetTarget, "set_target", track_id=77)
    assert not answer.success
    assert "there is no track 77" in answer.message
    assert tester.show_all(frames[2], "target_pose") is not None
    assert tester.call(SetTarget, "set_target", track_id=0).success
    tester.show_all(frames[2], "semantic_cloud")
    assert tester.latest("target_pose", 0.3) is None


def test_object_clouds_hold_each_object_in_the_target_frame(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """For grasping: points of one object only, in the robot's frame, inside their box."""
    tester.listen("object_clouds")
    message = tester.show_all(frames[2], "object_clouds")
    assert message.header.frame_id == BASE
    assert [(item.id, item.label) for item in message.objects] == [(ids[body], f"body {body}") for body in DISTANCE]
    for body, item in zip(DISTANCE, message.objects):
        assert item.cloud.header == message.header
        points = np.frombuffer(item.cloud.data, COLORED)
        assert len(points) == item.cloud.width > 100
        xyz = np.stack([points[name] for name in "xyz"], axis=1).astype(np.float64)
        in_camera = (xyz - CAMERA_IN_BASE.translation) @ CAMERA_IN_BASE.rotation
        assert np.abs(in_camera[:, 2] - DISTANCE[body]).max() < 1e-3, "no point of the wall"
        columns = in_camera[:, 0] / in_camera[:, 2] * FOCAL + 159.5
        rows = in_camera[:, 1] / in_camera[:, 2] * FOCAL + 119.5
        red = frames[2].color[np.rint(rows).astype(int), np.rint(columns).astype(int), 0]
        assert np.array_equal(points["rgb"] >> 16, red), "each point has the color of its pixel"
        center, size = item.box.center.position, item.box.size
        yaw = 2 * np.arctan2(item.box.center.orientation.z, item.box.center.orientation.w)
        turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        local = (xyz - (center.x, center.y, center.z)) @ turn.T
        assert (np.abs(local) <= np.array([size.x, size.y, size.z]) / 2 + 0.005).mean() > 0.97
    tester.ignore("object_clouds")


def test_pose_is_that_of_the_moment_of_the_image(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """The robot drives: one transform before the image and one after it. The pose lies between both, and waits for the second."""
    tester.call(SetTarget, "set_target", track_id=ids[1])
    tester.show_all(frames[2], "target_pose")
    for _ in range(5):
        tester.show(frames[2].color)
        tester.move(0.0, -20_000_000)
        tester.show_depth(frames[2])
        assert tester.latest("semantic_mask") is not None, "masks do not wait for transforms"
        tester.move(0.4, 20_000_000)
        pose = tester.latest("target_pose")
        if pose is not None:
            break
    assert pose is not None
    assert pose.pose.position.x == pytest.approx(in_base(truth(frames[2], 1)[0])[0] + 0.2, abs=0.03)
    tester.stamp += 1_000_000_000


def test_image_without_its_transform_is_counted(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """An old transform would put the object in a wrong place. The organized cloud, in the camera's frame, is published all the same."""
    before = counter(tester, "skipped_3d_late_transform")
    tester.show_all(frames[2], "semantic_cloud", with_transform=False)
    assert tester.latest("target_pose", 0.2) is None
    assert tester.spin(10.0, lambda: counter(tester, "skipped_3d_late_transform") > before)


def test_nothing_is_done_for_outputs_without_subscribers(tester: PlannerTester, ids: dict[int, int], frames: list[SceneFrame]) -> None:
    """Without subscribers no message is made. /tf is not even subscribed, except for the upright boxes of detections_3d."""
    tester.ignore("semantic_mask", "semantic_confidence", "semantic_cloud", "target_pose")
    names = ("semantic_mask", "semantic_confidence", "semantic_cloud", "target_pose", "object_clouds", "collision_objects")
    tester.show_all(frames[2], "detections_3d")
    before = [counter(tester, f"published_{name}") for name in names]
    for frame in frames[3:6]:
        tester.show_all(frame, "detections_3d")
    assert [counter(tester, f"published_{name}") for name in names] == before


def test_target_ends_with_its_track(tester: PlannerTester, ids: dict[int, int], processes: Processes, frames: list[SceneFrame]) -> None:
    """Whoever waits for the pose must be able to see why none comes."""
    assert tester.call(SetTarget, "set_target", track_id=ids[2]).success
    assert tester.call(RemoveTrack, "remove_track", track_id=ids[2]).success
    tester.step(frames[3])
    assert tester.spin(5.0, lambda: f"track {ids[2]}, the target of target_pose, has ended" in processes.log("track_node"))


def test_missing_package_is_named_once_it_is_asked_for(tester: PlannerTester, processes: Processes) -> None:
    """Without moveit_msgs, a subscriber would wait for ever. Nothing is logged before there is one."""
    if COLLISION_OBJECTS.message_class is not None:
        pytest.skip("moveit_msgs is installed")
    sentence = "collision_objects has a subscriber, but the node cannot publish it: the package moveit_msgs is not installed"
    assert sentence not in processes.log("track_node")
    subscription = tester.node.create_subscription(Header, "collision_objects", print, QoSProfile(depth=1))
    assert tester.spin(10.0, lambda: sentence in processes.log("track_node"))
    tester.node.destroy_subscription(subscription)


def test_upright_boxes_need_a_frame(tmp_path: Path) -> None:
    """The node refuses to be configured with a sentence that says what to set."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        node = processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "box_orientation:=gravity"])
        assert node.wait(60.0) == 1
        assert "box_orientation: gravity needs target_frame" in processes.log("track_node")
