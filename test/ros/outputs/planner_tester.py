# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A depth camera on a moving robot, and subscribers of what planners take."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image, PointCloud2
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo

from lang2segtrack.msg import ObjectClouds
from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box
from test.ros.outputs.test_spatial_outputs import DISTANCE, FRAME, DepthNodeTester

BASE = "base_link"
CAMERA_IN_BASE = RigidTransform(Rotation.from_euler("xyz", (-120.0, 0.0, -90.0), degrees=True).as_matrix(), np.array([0.2, 0.1, 1.2]))
"""The camera looks forward and down by 30 degrees, from a mast of 1.2 m."""
PLANNER_TOPICS: dict[str, Any] = {
    "semantic_mask": Image,
    "semantic_confidence": Image,
    "semantic_cloud": PointCloud2,
    "target_pose": PoseStamped,
    "object_clouds": ObjectClouds,
}


class PlannerTester(DepthNodeTester):
    """Node tester with depth, transforms, and subscriptions that open and close."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain)
        self.tf: Any = self.node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        self.open: dict[str, Any] = {}
        for topic in (*PLANNER_TOPICS, "semantic_label_info"):
            self.received[topic] = []

    def listen(self, *topics: str) -> None:
        """Subscribe topics, and wait until the node knows it."""
        for topic in topics:
            self.open[topic] = self.node.create_subscription(
                PLANNER_TOPICS[topic], topic, self.received[topic].append, QoSProfile(depth=50)
            )
        self.spin(1.5)  # the node looks at its subscribers twice a second

    def ignore(self, *topics: str) -> None:
        for topic in topics:
            self.node.destroy_subscription(self.open.pop(topic))
        self.spin(1.5)

    def listen_to_classes(self) -> LabelInfo:
        """Return the latched classes, as a subscriber that comes late gets them."""
        latched = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscription = self.node.create_subscription(LabelInfo, "semantic_label_info", self.received["semantic_label_info"].append, latched)
        assert self.spin(5.0, lambda: bool(self.received["semantic_label_info"]))
        self.node.destroy_subscription(subscription)
        return self.received["semantic_label_info"][-1]

    def move(self, x: float = 0.0, after_ns: int = 0) -> None:
        """Publish where the camera is at the stamp of the last image, or some time later: `x` meters in front of its usual place."""
        transform = TransformStamped(child_frame_id=FRAME)
        transform.header.frame_id = BASE
        transform.header.stamp.sec, transform.header.stamp.nanosec = divmod(self.stamp + after_ns, 1_000_000_000)
        at, q = CAMERA_IN_BASE.translation, Rotation.from_matrix(CAMERA_IN_BASE.rotation).as_quat()
        translation, rotation = transform.transform.translation, transform.transform.rotation
        translation.x, translation.y, translation.z = float(at[0] + x), float(at[1]), float(at[2])
        rotation.x, rotation.y, rotation.z, rotation.w = (float(value) for value in q)
        self.tf.publish(TFMessage(transforms=[transform]))

    def show_all(self, frame: SceneFrame, topic: str, with_transform: bool = True) -> Any:
        """Show a frame, its depth and the camera's place until a message about it arrives. Return the message."""
        for _ in range(10):
            self.show(frame.color)
            if with_transform:
                self.move()
            self.show_depth(frame)
            answer = self.latest(topic, 3.0)
            if answer is not None:
                return answer
        raise AssertionError(f"depth was shown ten times without a message on {topic}")

    def prompt_bodies(self, frame: SceneFrame) -> dict[int, int]:
        """Prompt two bodies of the toy world by box. Return the track id by body."""
        ids = {}
        self.step(frame)
        for body in DISTANCE:
            x1, y1, x2, y2 = body_box(frame, body)
            fields = {"x_min": x1, "y_min": y1, "x_max": x2, "y_max": y2, "label": f"body {body}"}
            answer = self.while_showing([frame] * 9, AddBoxPrompt, "add_box_prompt", **fields)
            assert answer.success, answer.message
            ids[body] = int(answer.track_ids[0])
        return ids
