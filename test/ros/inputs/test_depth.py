# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of a color image from real messages on a ROS graph: all supported inputs, and the reason for each failure."""

from __future__ import annotations

import array
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.depth import DepthSource
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.process import spin_until
from test.io.test_compressed_depth import message as depth_message

WIDTH, HEIGHT = 64, 48
COLOR_FRAME, DEPTH_FRAME = "color_optical", "depth_optical"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def header(milliseconds: int, frame: str = COLOR_FRAME) -> Header:
    stamped = Header(frame_id=frame)
    stamped.stamp.sec, stamped.stamp.nanosec = milliseconds // 1000, milliseconds % 1000 * 1_000_000
    return stamped


def info(width: int = WIDTH, height: int = HEIGHT, **changes: Any) -> CameraInfo:
    k = [60.0, 0.0, (width - 1) / 2, 0.0, 60.0, (height - 1) / 2, 0.0, 0.0, 1.0]
    return CameraInfo(**{"width": width, "height": height, "k": k, **changes})


class Bench:
    """A depth source and a node that publishes to it."""

    def __init__(self, registration: str = "auto", transport: str = "raw") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("source", context=self.context)
        self.other = rclpy.create_node("driver", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.other)
        self.slop = 0.02
        self.depth_count = 0
        group = MutuallyExclusiveCallbackGroup()
        self.source = DepthSource(self.node, group, "auto", registration, lambda: self.slop, self.count_depth, transport)
        self.publishers = {
            "depth/image_raw": self.other.create_publisher(Image, "depth/image_raw", 10),
            "depth/image_raw/compressedDepth": self.other.create_publisher(CompressedImage, "depth/image_raw/compressedDepth", 10),
            "color/camera_info": self.other.create_publisher(CameraInfo, "color/camera_info", LATCHED),
            "depth/camera_info": self.other.create_publisher(CameraInfo, "depth/camera_info", LATCHED),
            "/tf_static": self.other.create_publisher(TFMessage, "/tf_static", LATCHED),
        }

    def count_depth(self) -> None:
        self.depth_count += 1

    def spin(self, until: Callable[[], bool], seconds: float = 10.0) -> bool:
        return spin_until(self.executor, seconds, until)

    def send(self, topic: str, message: Any) -> None:
        """Publish after both sides have discovered each other, and wait until the message has arrived."""
        publisher = self.publishers[topic]
        assert self.spin(lambda: publisher.get_subscription_count() > 0)
        before = self.depth_count
        publisher.publish(message)
        if topic.startswith("depth/image_raw"):
            assert self.spin(lambda: self.depth_count > before)
        else:
            self.spin(lambda: False, 0.3)

    def depth(self, at_ms: int, meters: float = 2.0, frame: str = COLOR_FRAME, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        self.send("depth/image_raw", MESSAGES.image(np.full(size, meters * 1000, np.uint16), "16UC1", header(at_ms, frame)))

    def reason(self, at_ms: int) -> tuple[str, str]:
        with pytest.raises(ConversionError) as raised:
            self.source.find(header(at_ms), HEIGHT, WIDTH)
        return raised.value.reason, str(raised.value)

    def close(self) -> None:
        self.source.close()
        self.node.destroy_node()
        self.other.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_nearest_depth_is_found_in_both_encodings(bench: Bench) -> None:
    bench.send("color/camera_info", info())
    bench.depth(1000, 1.0)
    bench.depth(1033, 2.0)
    bench.send("depth/image_raw", MESSAGES.image(np.full((HEIGHT, WIDTH), 3.0, np.float32), "32FC1", header(1066)))
    for at, meters in ((1000, 1.0), (1035, 2.0), (1060, 3.0)):
        assert bench.source.find(header(at), HEIGHT, WIDTH).depth[0, 0] == pytest.approx(meters)


def test_camera_info_is_scaled_to_image_size(bench: Bench) -> None:
    bench.send("color/camera_info", info(WIDTH * 2, HEIGHT * 2))
    bench.depth(1000)
    found = bench.source.find(header(1000), HEIGHT, WIDTH)
    assert (found.camera.width, found.camera.fx) == (WIDTH, 30.0)


def test_each_missing_input_has_its_own_reason(bench: Bench) -> None:
    """The reasons appear in the order in which a user fixes them."""
    reason, sentence = bench.reason(1000)
    assert reason == "no_depth"
    assert "/depth/image_raw" in sentence
    bench.depth(900)
    reason, sentence = bench.reason(1000)
    assert reason == "depth_too_far_in_time"
    assert "100 ms" in sentence
    assert "depth_slop_s" in sentence
    bench.slop = 0.2
    reason, sentence = bench.reason(1000)
    assert reason == "no_color_camera_info"
    assert "/color/camera_info" in sentence
    bench.send("color/camera_info", info(k=[0.0] * 9))
    assert bench.reason(1000)[0] == "uncalibrated"
    bench.send("color/camera_info", info(WIDTH, WIDTH))
    reason, sentence = bench.reason(1000)
    assert reason == "wrong_camera_info"
    assert "64 x 64" in sentence
    bench.send("color/camera_info", info(d=[0.1] * 5, distortion_model="unheard_of"))
    assert bench.reason(1000)[0] == "unknown_distortion"
    bench.send("color/camera_info", info())
    assert bench.source.find(header(1000), HEIGHT, WIDTH).depth.shape == (HEIGHT, WIDTH)
    bench.depth(1000, size=(HEIGHT, HEIGHT))
    reason, sentence = bench.reason(1000)
    assert reason == "depth_of_another_shape"
    assert "48 x 48" in sentence
    bench.send("depth/image_raw", MESSAGES.image(np.zeros((HEIGHT, WIDTH), np.uint8), "mono8", header(1100)))
    assert bench.reason(1100)[0] == "unknown_depth_encoding"


def test_depth_of_another_camera_is_reprojected(bench: Bench) -> None:
    """The depth camera is 10 cm to the left. At 2 m and a focal length of 60 px, the color camera sees the points 3 pixels further left."""
    bench.send("color/camera_info", info())
    image = np.full((HEIGHT, WIDTH), 4.0, np.float32)
    image[20:28, 28:36] = 2.0
    bench.send("depth/image_raw", MESSAGES.image(image, "32FC1", header(1000, DEPTH_FRAME)))
    assert bench.reason(1000)[0] == "no_depth_camera_info"
    bench.send("depth/camera_info", info())
    reason, sentence = bench.reason(1000)
    assert reason == "no_extrinsics"
    assert DEPTH_FRAME in sentence
    assert "/tf_static" in sentence
    transforms = []
    for child, x in ((COLOR_FRAME, 0.0), (DEPTH_FRAME, -0.1)):
        transform = TransformStamped(header=Header(frame_id="camera_link"), child_frame_id=child)
        transform.transform.translation.x = x
        transform.transform.rotation.w = 1.0
        transforms.append(transform)
    bench.send("/tf_static", TFMessage(transforms=transforms))
    found = bench.source.find(header(1000), HEIGHT, WIDTH).depth
    assert np.nanmedian(found[20:28, 26:32]) == 2.0
    assert found[24, 34] != 2.0, "depth was used without reprojection"


def test_depth_is_settled_when_no_closer_image_can_arrive(bench: Bench) -> None:
    bench.depth(1000)
    assert bench.source.is_settled(header(1000))
    assert bench.source.is_settled(header(1004)), "close enough"
    assert not bench.source.is_settled(header(1015)), "within slop, but a closer image may arrive"
    bench.depth(1033)
    assert bench.source.is_settled(header(1015))


def test_clock_jump_back_clears_cached_depth(bench: Bench) -> None:
    bench.send("color/camera_info", info())
    bench.depth(60_000, 1.0)
    bench.depth(1000, 2.0)
    assert bench.source.find(header(1000), HEIGHT, WIDTH).depth[0, 0] == 2.0
    assert not bench.source.is_settled(header(60_000))


@pytest.mark.parametrize(("registration", "error"), [("registered", ""), ("reproject", "no_depth_camera_info")])
def test_registration_parameter_overrides_frame_ids(registration: str, error: str) -> None:
    bench = Bench(registration)
    try:
        bench.send("color/camera_info", info())
        bench.depth(1000, frame=COLOR_FRAME if error else DEPTH_FRAME)
        if error:
            assert bench.reason(1000)[0] == error
        else:
            assert bench.source.find(header(1000), HEIGHT, WIDTH).depth[0, 0] == 2.0
    finally:
        bench.close()


def test_depth_is_kept_while_its_color_image_is_processed(bench: Bench) -> None:
    """During one second of processing, 30 depth images arrive. Without `expect`, the matching one would be dropped from the cache."""
    bench.send("color/camera_info", info())
    bench.depth(1000, 1.0)
    bench.source.expect(header(1005))
    bench.source.expect(header(1100))  # its depth image arrives after processing has started
    for number in range(1, 41):
        bench.depth(1000 + 33 * number, 1.0 + number)
    assert bench.source.find(header(1005), HEIGHT, WIDTH).depth[0, 0] == pytest.approx(1.0)
    assert bench.source.find(header(1100), HEIGHT, WIDTH).depth[0, 0] == pytest.approx(4.0)
    assert bench.reason(1200)[0] == "depth_too_far_in_time"


@pytest.mark.parametrize("loop", [("depth_optical",), ("depth_optical", "odom"), ("depth_optical", "odom", "map")])
def test_loop_of_transforms_gives_no_extrinsics(bench: Bench, loop: tuple[str, ...]) -> None:
    """Two nodes may publish each other's frames. An endless search would block the whole node."""
    bench.send("color/camera_info", info())
    bench.send("depth/camera_info", info())
    transforms = []
    for child, parent in zip(loop, (*loop[1:], loop[0])):
        transform = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
        transform.transform.rotation.w = 1.0
        transforms.append(transform)
    bench.send("/tf_static", TFMessage(transforms=transforms))
    bench.depth(1000, frame=DEPTH_FRAME)
    assert bench.reason(1000)[0] == "no_extrinsics"


@pytest.mark.parametrize("text", ["16UC1; compressedDepth png", "32FC1; compressedDepth rvl"])
def test_compressed_depth_is_read(text: str) -> None:
    """Damaged messages must have a reason, as those of raw depth."""
    bench = Bench(transport="compressedDepth")
    try:
        bench.send("color/camera_info", info())
        packed = depth_message(text, np.full((HEIGHT, WIDTH), 2000, np.uint16))
        topic = "depth/image_raw/compressedDepth"
        bench.send(topic, CompressedImage(header=header(1000), format=text, data=array.array("B", packed.data)))
        found = bench.source.find(header(1000), HEIGHT, WIDTH).depth
        assert found.shape == (HEIGHT, WIDTH)
        assert found[0, 0] == pytest.approx(2.0 if text.startswith("16") else 10100 / (2000 + 1009))
        bench.send(topic, CompressedImage(header=header(1100), format=text, data=array.array("B", packed.data[:30])))
        assert bench.reason(1100)[0] == "undecodable"
    finally:
        bench.close()


@pytest.mark.parametrize(
    ("transport", "fix"), [("raw", "set depth_transport to compressedDepth"), ("compressedDepth", "set depth_transport to raw")]
)
def test_reason_of_missing_depth_names_the_other_transport(transport: str, fix: str) -> None:
    """A robot without raw depth, or a node with a wrong parameter, must not send the user to the parameter of color."""
    bench = Bench(transport=transport)
    try:
        other = {"raw": "depth/image_raw", "compressedDepth": "depth/image_raw/compressedDepth"}[transport]
        bench.other.destroy_publisher(bench.publishers[other])
        present = f"/{({'depth/image_raw', 'depth/image_raw/compressedDepth'} - {other}).pop()}"
        assert bench.spin(lambda: bench.node.count_publishers(present) == 1 and bench.node.count_publishers(f"/{other}") == 0)
        reason, sentence = bench.reason(1000)
        assert (reason, sentence) == ("no_depth", f"nobody publishes /{other}, but {present} has a publisher: {fix}")
    finally:
        bench.close()


def test_depth_of_another_type_names_the_parameter_of_depth(bench: Bench) -> None:
    """A remapping may lead the raw topic to a compressed one."""
    bench.other.destroy_publisher(bench.publishers["depth/image_raw"])
    context = rclpy.Context()  # one participant cannot use two types for one topic
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    driver = rclpy.create_node("compressing_driver", context=context)
    driver.create_publisher(CompressedImage, "depth/image_raw", 10)

    def types() -> list[str]:
        return [item.topic_type for item in bench.node.get_publishers_info_by_topic("/depth/image_raw")]

    try:
        assert bench.spin(lambda: types() == ["sensor_msgs/msg/CompressedImage"])
        assert bench.reason(1000)[1] == (
            "/depth/image_raw carries sensor_msgs/msg/CompressedImage, this node expects sensor_msgs/msg/Image: "
            "remap the topic or set depth_transport to compressedDepth"
        )
    finally:
        driver.destroy_node()
        rclpy.try_shutdown(context=context)
