# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A client of track_node on a real ROS graph, for several tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from lang2segtrack.msg import TrackArray
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.interfaces import ANNOTATIONS
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.scene import SceneFrame

TOY = ["-p", "segmenter:=toy", "-p", "detector:=toy", "-p", "device:=cpu"]


class NodeTester:
    """Camera and subscriber in one: publishes frames to the node and records its messages.

    Attributes:
        received: messages by topic.
        stamp: stamp of the last published image in nanoseconds.
    """

    def __init__(self, domain: int, namespace: str = "") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("tester", context=self.context, namespace=namespace)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        for topic, kind, qos in (
            ("tracks", TrackArray, QoSProfile(depth=50)),
            ("detections", Detection2DArray, QoSProfile(depth=50)),
            ("instance_masks", Image, QoSProfile(depth=50)),
            ("overlay", Image, QoSProfile(depth=50)),
            ("label_info", LabelInfo, latched),
            ("/diagnostics", DiagnosticArray, QoSProfile(depth=50)),
            *([("annotations", ANNOTATIONS.message_class, QoSProfile(depth=50))] if ANNOTATIONS.message_class is not None else []),
        ):
            self.received[topic] = []
            self.node.create_subscription(kind, topic, self.received[topic].append, qos)
        self.camera = self.node.create_publisher(Image, "color/image_raw", QoSProfile(depth=2))
        self.stamp = 1_000_000_000

    def spin(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        return spin_until(self.executor, seconds, until)

    def call(self, kind: Any, name: str, timeout: float = 30.0, **fields: Any) -> Any:
        client = self.node.create_client(kind, name)
        assert self.spin(40.0, client.service_is_ready), f"{name} is not offered"
        future = client.call_async(kind.Request(**fields))
        assert self.spin(timeout, future.done), f"{name} did not answer within {timeout} s"
        self.node.destroy_client(client)
        return future.result()

    def show(self, color: np.ndarray, encoding: str = "rgb8", **changes: Any) -> None:
        self.stamp += 66_000_000
        header = Header(frame_id="camera_color_optical_frame")
        header.stamp.sec, header.stamp.nanosec = divmod(self.stamp, 1_000_000_000)
        message = MESSAGES.image(color, encoding, header)
        for name, value in changes.items():
            setattr(message, name, value)
        self.camera.publish(message)

    def step(self, frame: SceneFrame) -> TrackArray:
        """Publish a frame until its tracks arrive. DDS may lose the first messages while it connects."""
        for _ in range(10):
            self.show(frame.color)
            if self.spin(3.0, lambda: any(stamp_ns(item.header.stamp) == self.stamp for item in self.received["tracks"])):
                return self.received["tracks"][-1]
        raise AssertionError("an image was shown ten times without a result")

    def while_showing(self, frames: list[SceneFrame], kind: Any, name: str, **fields: Any) -> Any:
        """Call a service while images continue."""
        client = self.node.create_client(kind, name)
        assert self.spin(20.0, client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        for frame in frames:
            if future.done():
                break
            self.show(frame.color)
            self.spin(0.3, future.done)
        assert self.spin(10.0, future.done), f"{name} did not answer"
        self.node.destroy_client(client)
        return future.result()

    def diagnostics(self, key: str, timeout: float = 5.0) -> str:
        """Return a value of the next diagnostics message."""
        self.received["/diagnostics"].clear()
        assert self.spin(timeout, lambda: bool(self.reports))
        return self.reports[-1].get(key, "")

    @property
    def reports(self) -> list[dict[str, str]]:
        """Values of each recorded diagnostics message."""
        return [{item.key: item.value for status in message.status for item in status.values} for message in self.received["/diagnostics"]]

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
