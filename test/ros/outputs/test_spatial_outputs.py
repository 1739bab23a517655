# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""3-D output of track_node in its own process: correct, with late depth, without depth, and without subscribers."""

from __future__ import annotations

import array
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.outputs.spatial_messages import POINT
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box
from test.io.test_compressed_depth import message as depth_message
from test.ros.nodes.node_tester import TOY, NodeTester

FOCAL = 300.0
DISTANCE = {1: 1.5, 2: 2.5}  # meters, by body
WALL = 4.0
FRAME = "camera_color_optical_frame"
TOPICS = {"detections_3d": Detection3DArray, "markers": MarkerArray, "objects_cloud": PointCloud2}


class DepthNodeTester(NodeTester):
    """Node tester with a depth camera."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.depth_camera: Any = self.node.create_publisher(Image, "depth/image_raw", QoSProfile(depth=5))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_publisher(CameraInfo, "color/camera_info", latched).publish(
            CameraInfo(width=320, height=240, k=[FOCAL, 0.0, 159.5, 0.0, FOCAL, 119.5, 0.0, 0.0, 1.0])
        )
        for topic, kind in (*TOPICS.items(), ("/tf", TFMessage)):
            self.received[topic] = []
            self.subscribe(topic, kind)

    def subscribe(self, topic: str, kind: Any) -> None:
        self.node.create_subscription(kind, topic, self.received[topic].append, QoSProfile(depth=50))

    def show_depth(self, frame: SceneFrame) -> None:
        """Publish depth of the frame that was shown last."""
        meters = np.full(frame.instances.shape, WALL, np.float32)
        for body, distance in DISTANCE.items():
            meters[frame.instances == body] = distance
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp, 1_000_000_000)
        self.depth_camera.publish(MESSAGES.image(meters, "32FC1", header))

    def latest(self, topic: str, seconds: float = 5.0) -> Any:
        """Return the message about the frame that was shown last, or None if none arrives in time."""

        def matches(item: Any) -> bool:
            return stamp_ns(header_of(item).stamp) == self.stamp

        self.spin(seconds, lambda: any(matches(item) for item in self.received[topic]))
        return next((item for item in reversed(self.received[topic]) if matches(item)), None)


def header_of(message: Any) -> Header:
    if isinstance(message, MarkerArray):
        return message.markers[0].header
    return message.transforms[0].header if isinstance(message, TFMessage) else message.header


@pytest.fixture(scope="module")
def tester(tmp_path_factory: pytest.TempPathFactory, frames: list[SceneFrame]) -> Iterator[DepthNodeTester]:
    """Start a node that tracks two objects from boxes. It waits long for late depth, so no test depends on the speed of the machine."""
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        arguments = [*TOY, "-p", "detector:=''", "-p", "publish_tf:=true", "-p", "tf_prefix:=thing_", "-p", "depth_wait_s:=1.0"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        tester = DepthNodeTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)  # responds after the networks are loaded
        tester.step(frames[0])
        for body in DISTANCE:
            x1, y1, x2, y2 = body_box(frames[0], body)
            answer = tester.while_showing(
                frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label=f"body {body}"
            )
            assert answer.success, answer.message
        yield tester
        tester.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")


def truth(frame: SceneFrame, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Return center [3] and size [2] of a body in meters."""
    rows, columns = np.nonzero(frame.instances == body)
    z = DISTANCE[body]
    center = np.array([(columns.mean() - 159.5) * z / FOCAL, (rows.mean() - 119.5) * z / FOCAL, z])
    return center, np.array([np.ptp(columns) + 1, np.ptp(rows) + 1]) * z / FOCAL


def show_both(tester: DepthNodeTester, frame: SceneFrame) -> Detection3DArray:
    """Show a frame and its depth until its detections arrive. DDS may lose the first messages while it connects."""
    for _ in range(10):
        tester.show(frame.color)
        tester.show_depth(frame)
        answer = tester.latest("detections_3d", 3.0)
        if answer is not None:
            return answer
    raise AssertionError("depth was shown ten times without a result")


def test_objects_have_true_position_and_size(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    answer = show_both(tester, frames[1])
    assert answer.header.frame_id == FRAME
    assert [item.results[0].hypothesis.class_id for item in answer.detections] == ["body 1", "body 2"]
    for body, item in zip(DISTANCE, answer.detections):
        center, size = truth(frames[1], body)
        at = item.results[0].pose.pose.position
        assert np.linalg.norm(np.array([at.x, at.y, at.z]) - center) < max(0.02, 0.02 * center[2])
        # The toy segmenter's masks of 48 x 48 pixels cut off the tips of stars. With true masks the error stays below 0.15.
        assert np.abs(np.array([item.bbox.size.x, item.bbox.size.y]) / size - 1).max() < 0.2


def test_all_outputs_agree(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    detections = show_both(tester, frames[2]).detections
    markers = tester.latest("markers").markers
    assert [(item.ns, str(item.id)) for item in markers[1:]] == [(ns, item.id) for item in detections for ns in ("boxes", "labels")]
    assert markers[1].pose.position.z == pytest.approx(detections[0].bbox.center.position.z)
    cloud = tester.latest("objects_cloud")
    points = np.frombuffer(cloud.data, POINT)
    assert {str(value) for value in np.unique(points["id"])} == {item.id for item in detections}
    for item in detections:
        assert np.median(points["z"][points["id"] == int(item.id)]) == pytest.approx(item.results[0].pose.pose.position.z)
    transforms = tester.latest("/tf").transforms
    assert [transform.child_frame_id for transform in transforms] == [f"thing_{item.id}" for item in detections]
    assert transforms[0].transform.translation.z == pytest.approx(detections[0].results[0].pose.pose.position.z)


def test_late_depth_is_used_without_delaying_masks(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    """Depth is sent only after the masks have arrived. A node that reads depth together with the image would have none."""
    tracks = tester.step(frames[3])
    assert len(tracks.tracks) == 2
    assert tester.latest("detections_3d", 0.1) is None
    tester.show_depth(frames[3])
    answer = tester.latest("detections_3d")
    assert answer is not None
    assert len(answer.detections) == 2


def test_next_masks_do_not_wait_for_missing_depth(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    """Only the second of two images gets depth, and late. Both masks arrive before it. The first image gets no 3-D output."""
    tester.step(frames[4])
    first = tester.stamp
    assert len(tester.step(frames[5]).tracks) == 2
    tester.show_depth(frames[5])
    assert tester.latest("detections_3d") is not None
    assert all(stamp_ns(item.header.stamp) != first for item in tester.received["detections_3d"])


def test_image_without_depth_is_counted_by_reason(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    show_both(tester, frames[6])
    before = int(tester.diagnostics("skipped_3d_depth_too_far_in_time") or 0)
    tester.step(frames[7])
    assert tester.spin(10.0, lambda: int(tester.diagnostics("skipped_3d_depth_too_far_in_time") or 0) > before)


def test_nothing_is_computed_without_subscribers(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """Without a subscriber the node does not even look for depth, so nothing is published or skipped."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "detector:=''"])
        tester = NodeTester(int(environment["ROS_DOMAIN_ID"]))
        try:
            tester.call(Trigger, "reset", timeout=120.0)
            tester.step(frames[0])
            tester.step(frames[1])
            assert tester.diagnostics("images_processed")
            values = {item.key for status in tester.received["/diagnostics"][-1].status for item in status.values}
            assert "published_tracks" in values
            assert not [key for key in values if key.startswith("skipped_3d") or key.endswith(("_3d", "markers", "objects_cloud", "_tf"))]
        finally:
            tester.close()


def test_depth_policy_cuts_mask_at_depth_edge(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """Depth shows half of a body far behind the rest, so the mask loses this half. An image without depth is tracked and counted."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        arguments = [*TOY, "-p", "detector:=''", "-p", "policy:=depth", "-p", "depth_wait_s:=1.0"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        tester = DepthNodeTester(int(environment["ROS_DOMAIN_ID"]))
        tester.call(Trigger, "reset", timeout=120.0)
        tester.step(frames[0])
        x1, y1, x2, y2 = body_box(frames[0], 1)
        answer = tester.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
        assert answer.success, answer.message
        assert int(tester.diagnostics("skipped_depth_no_depth")) > 0
        for _ in range(3):
            whole = show_both(tester, frames[0]).detections[0].bbox.size.x
        half = replace(frames[0], instances=frames[0].instances.copy())
        half.instances[:, round((x1 + x2) / 2) :] = 0
        for _ in range(3):
            cut = show_both(tester, half).detections[0].bbox.size.x
        tester.close()
        processes.check()
        assert cut < 0.75 * whole
        assert "Traceback" not in processes.log("track_node")


def test_markers_are_deleted_when_depth_stops(tester: DepthNodeTester, frames: list[SceneFrame]) -> None:
    """Otherwise RViz would keep showing boxes of objects without depth, and of removed objects."""
    show_both(tester, frames[1])
    assert len(tester.latest("markers").markers) > 1
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline and len(tester.received["markers"][-1].markers) > 1:
        tester.show(frames[1].color)
        tester.spin(0.3)
    assert len(tester.received["markers"][-1].markers) == 1, "only the marker that deletes all others"


def test_objects_have_positions_from_compressed_depth(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """Robots send depth over Wi-Fi this way."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        arguments = [*TOY, "-p", "detector:=''", "-p", "depth_transport:=compressedDepth"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *arguments])
        tester = DepthNodeTester(int(environment["ROS_DOMAIN_ID"]))
        publisher = tester.node.create_publisher(CompressedImage, "depth/image_raw/compressedDepth", QoSProfile(depth=5))

        def compress(raw: Image) -> None:
            meters = np.frombuffer(raw.data, "<f4").reshape(raw.height, raw.width)
            packed = depth_message("16UC1; compressedDepth rvl", np.rint(meters * 1000).astype(np.uint16))
            publisher.publish(CompressedImage(header=raw.header, format=packed.format, data=array.array("B", packed.data)))

        tester.depth_camera = SimpleNamespace(publish=compress)
        tester.call(Trigger, "reset", timeout=120.0)
        tester.step(frames[1])
        x1, y1, x2, y2 = body_box(frames[1], 1)
        answer = tester.while_showing(frames[1:2] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
        assert answer.success, answer.message
        at = show_both(tester, frames[1]).detections[0].results[0].pose.pose.position
        assert np.linalg.norm(np.array([at.x, at.y, at.z]) - truth(frames[1], 1)[0]) < 0.03
        tester.close()
        processes.check()
