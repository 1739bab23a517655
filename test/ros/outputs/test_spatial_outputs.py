# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""3-D output of track_node as a process of its own: right, late, missing, and only when asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
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
from test.ros.nodes.test_track_node import TOY, Outsider

FOCAL = 300.0
DISTANCE = {1: 1.5, 2: 2.5}  # metres, by body
WALL = 4.0
FRAME = "camera_color_optical_frame"
TOPICS = {"detections_3d": Detection3DArray, "markers": MarkerArray, "objects_cloud": PointCloud2}


class DepthOutsider(Outsider):
    """An outsider with a depth camera."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.depth_camera = self.node.create_publisher(Image, "depth/image_raw", QoSProfile(depth=5))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_publisher(CameraInfo, "color/camera_info", latched).publish(
            CameraInfo(width=320, height=240, k=[FOCAL, 0.0, 159.5, 0.0, FOCAL, 119.5, 0.0, 0.0, 1.0])
        )
        for topic, kind in (*TOPICS.items(), ("/tf", TFMessage)):
            self.heard[topic] = []
            self.listen(topic, kind)

    def listen(self, topic: str, kind: Any) -> None:
        self.node.create_subscription(kind, topic, self.heard[topic].append, QoSProfile(depth=50))

    def show_depth(self, frame: SceneFrame) -> None:
        """Depth of the frame that was shown last."""
        metres = np.full(frame.instances.shape, WALL, np.float32)
        for body, distance in DISTANCE.items():
            metres[frame.instances == body] = distance
        header = Header(frame_id=FRAME)
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp, 1_000_000_000)
        self.depth_camera.publish(MESSAGES.image(metres, "32FC1", header))

    def latest(self, topic: str, seconds: float = 5.0) -> Any:
        """The message about the frame that was shown last, None when there is none in time."""

        def about_it(item: Any) -> bool:
            return stamp_ns(header_of(item).stamp) == self.stamp

        self.spin(seconds, lambda: any(about_it(item) for item in self.heard[topic]))
        return next((item for item in reversed(self.heard[topic]) if about_it(item)), None)


def header_of(message: Any) -> Header:
    if isinstance(message, MarkerArray):
        return message.markers[0].header
    return message.transforms[0].header if isinstance(message, TFMessage) else message.header


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory, frames: list[SceneFrame]) -> Iterator[DepthOutsider]:
    """A node with two boxed objects. Late depth is waited for so long that no test depends on this machine's speed."""
    logs = tmp_path_factory.mktemp("logs")
    with isolated_environment() as environment, Processes(environment, logs) as processes:
        given = [*TOY, "-p", "detector:=''", "-p", "publish_tf:=true", "-p", "tf_prefix:=thing_", "-p", "depth_wait_s:=1.0"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *given])
        outsider = DepthOutsider(int(environment["ROS_DOMAIN_ID"]))
        outsider.call(Trigger, "reset", timeout=120.0)  # waits until the networks are loaded
        outsider.step(frames[0])
        for body in DISTANCE:
            x1, y1, x2, y2 = body_box(frames[0], body)
            answer = outsider.while_showing(
                frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2, label=f"body {body}"
            )
            assert answer.success, answer.message
        yield outsider
        outsider.close()
        processes.check()
        assert "Traceback" not in processes.log("track_node")


def truth(frame: SceneFrame, body: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre and width and height of a body, metres."""
    rows, columns = np.nonzero(frame.instances == body)
    z = DISTANCE[body]
    centre = np.array([(columns.mean() - 159.5) * z / FOCAL, (rows.mean() - 119.5) * z / FOCAL, z])
    return centre, np.array([np.ptp(columns) + 1, np.ptp(rows) + 1]) * z / FOCAL


def show_both(outside: DepthOutsider, frame: SceneFrame) -> Detection3DArray:
    """A frame and its depth until the answer comes: DDS may lose the first ones while it is connecting."""
    for _ in range(10):
        outside.show(frame.color)
        outside.show_depth(frame)
        answer = outside.latest("detections_3d", 3.0)
        if answer is not None:
            return answer
    raise AssertionError("depth was shown ten times and never answered")


def test_objects_are_where_they_are(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    answer = show_both(outside, frames[1])
    assert answer.header.frame_id == FRAME
    assert [item.results[0].hypothesis.class_id for item in answer.detections] == ["body 1", "body 2"]
    for body, item in zip(DISTANCE, answer.detections):
        centre, size = truth(frames[1], body)
        at = item.results[0].pose.pose.position
        assert np.linalg.norm(np.array([at.x, at.y, at.z]) - centre) < max(0.02, 0.02 * centre[2])
        # The toy segmenter's masks, of 48 x 48 before they are enlarged, cut the tips of stars; true masks keep to 0.15.
        assert np.abs(np.array([item.bbox.size.x, item.bbox.size.y]) / size - 1).max() < 0.2


def test_every_output_tells_the_same(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    detections = show_both(outside, frames[2]).detections
    markers = outside.latest("markers").markers
    assert [(item.ns, str(item.id)) for item in markers[1:]] == [(ns, item.id) for item in detections for ns in ("boxes", "labels")]
    assert markers[1].pose.position.z == pytest.approx(detections[0].bbox.center.position.z)
    cloud = outside.latest("objects_cloud")
    points = np.frombuffer(cloud.data, POINT)
    assert {str(value) for value in np.unique(points["id"])} == {item.id for item in detections}
    for item in detections:
        assert np.median(points["z"][points["id"] == int(item.id)]) == pytest.approx(item.results[0].pose.pose.position.z)
    links = outside.latest("/tf").transforms
    assert [link.child_frame_id for link in links] == [f"thing_{item.id}" for item in detections]
    assert links[0].transform.translation.z == pytest.approx(detections[0].results[0].pose.pose.position.z)


def test_late_depth_is_used_and_delays_no_mask(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    """Depth is sent only after the masks have come: a node that took depth with the image would never have it."""
    tracks = outside.step(frames[3])
    assert len(tracks.tracks) == 2
    assert outside.latest("detections_3d", 0.1) is None
    outside.show_depth(frames[3])
    answer = outside.latest("detections_3d")
    assert answer is not None
    assert len(answer.detections) == 2


def test_masks_of_the_next_image_do_not_wait_for_the_depth_of_this_one(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    """Two images without depth, then the depth of the second: the masks of both are there before it, the first goes without."""
    outside.step(frames[4])
    first = outside.stamp
    assert len(outside.step(frames[5]).tracks) == 2
    outside.show_depth(frames[5])
    assert outside.latest("detections_3d") is not None
    assert all(stamp_ns(item.header.stamp) != first for item in outside.heard["detections_3d"])


def test_an_image_without_depth_is_counted_by_its_reason(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    show_both(outside, frames[6])
    before = int(outside.diagnostics("skipped_3d_depth_too_far_in_time") or 0)
    outside.step(frames[7])
    assert outside.spin(10.0, lambda: int(outside.diagnostics("skipped_3d_depth_too_far_in_time") or 0) > before)


def test_nothing_is_worked_out_for_nobody(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """Neither published nor skipped: without a listener depth is not even looked for."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        processes.start("track_node", [*executable("track_node"), "--ros-args", *TOY, "-p", "detector:=''"])
        outsider = Outsider(int(environment["ROS_DOMAIN_ID"]))
        try:
            outsider.call(Trigger, "reset", timeout=120.0)
            outsider.step(frames[0])
            outsider.step(frames[1])
            assert outsider.diagnostics("images_processed")
            values = {item.key for status in outsider.heard["/diagnostics"][-1].status for item in status.values}
            assert "published_tracks" in values
            assert not [key for key in values if key.startswith("skipped_3d") or key.endswith(("_3d", "markers", "objects_cloud", "_tf"))]
        finally:
            outsider.close()


def test_the_policy_that_looks_at_depth(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """Half of a body that depth shows far behind is cut off its mask; without depth it is tracked all the same, and counted."""
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        given = [*TOY, "-p", "detector:=''", "-p", "policy:=depth", "-p", "depth_wait_s:=1.0"]
        processes.start("track_node", [*executable("track_node"), "--ros-args", *given])
        outside = DepthOutsider(int(environment["ROS_DOMAIN_ID"]))
        outside.call(Trigger, "reset", timeout=120.0)
        outside.step(frames[0])
        x1, y1, x2, y2 = body_box(frames[0], 1)
        answer = outside.while_showing(frames[:1] * 9, AddBoxPrompt, "add_box_prompt", x_min=x1, y_min=y1, x_max=x2, y_max=y2)
        assert answer.success, answer.message
        assert int(outside.diagnostics("skipped_depth_no_depth")) > 0
        for _ in range(3):
            whole = show_both(outside, frames[0]).detections[0].bbox.size.x
        half = replace(frames[0], instances=frames[0].instances.copy())
        half.instances[:, round((x1 + x2) / 2) :] = 0
        for _ in range(3):
            cut = show_both(outside, half).detections[0].bbox.size.x
        outside.close()
        processes.check()
        assert cut < 0.75 * whole
        assert "Traceback" not in processes.log("track_node")


def test_markers_are_taken_back_when_depth_stops(outside: DepthOutsider, frames: list[SceneFrame]) -> None:
    """RViz would show boxes where nothing is known to be any more, and after a removal of nothing at all."""
    show_both(outside, frames[1])
    assert len(outside.latest("markers").markers) > 1
    deadline = time.monotonic() + 20.0
    while time.monotonic() < deadline and len(outside.heard["markers"][-1].markers) > 1:
        outside.show(frames[1].color)
        outside.spin(0.3)
    assert len(outside.heard["markers"][-1].markers) == 1, "the one that deletes all others"
