# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The toy camera in its room, as a process: TF and the truth of each image must lead to the places of the items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.transform_buffer import TransformBuffer
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.camera_messages import DETECTIONS_3D
from lang2segtrack_ros.toyworld.graph import Processes, executable, isolated_environment
from lang2segtrack_ros.toyworld.room import default_room


def test_transforms_lead_to_the_items(tmp_path: Path) -> None:
    """map -> odom -> camera, with the stamp of the image."""
    items = default_room().items
    places = {item.label: [other.place_at(0.0) for other in items if other.label == item.label] for item in items}
    with isolated_environment() as environment, Processes(environment, tmp_path) as processes:
        stream = ["-p", "suite:=room", "-p", "width:=160", "-p", "height:=120", "-p", "fps:=10.0"]
        processes.start("camera", [*executable("toy_camera"), "--ros-args", *stream])
        context = rclpy.Context()
        rclpy.init(context=context, domain_id=int(environment["ROS_DOMAIN_ID"]))
        node = rclpy.create_node("listener", context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        buffer = TransformBuffer()
        truth: list[Any] = []

        def store(msg: TFMessage) -> None:
            for item in msg.transforms:
                q, t = item.transform.rotation, item.transform.translation
                motion = RigidTransform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
                buffer.add(item.header.frame_id, item.child_frame_id, stamp_ns(item.header.stamp), motion)

        node.create_subscription(TFMessage, "/tf", store, QoSProfile(depth=100))
        node.create_subscription(Detection3DArray, DETECTIONS_3D.path, truth.append, QoSProfile(depth=30))
        try:
            assert spin_until(executor, 60.0, lambda: len(truth) > 5 and buffer.newest_ns > stamp_ns(truth[5].header.stamp))
        finally:
            node.destroy_node()
            executor.shutdown()
            rclpy.try_shutdown(context=context)
    message: Any = truth[5]
    assert len(message.detections) == len(default_room().items)
    pose = buffer.at(message.header.frame_id, "map", stamp_ns(message.header.stamp))
    for detection in message.detections:
        center = detection.results[0].pose.pose.position
        world = pose.rotation @ np.array([center.x, center.y, center.z]) + pose.translation
        assert any(world == pytest.approx(place, abs=1e-6) for place in places[detection.results[0].hypothesis.class_id])
