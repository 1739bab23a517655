# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms at the time of an image, over a real graph: chains, missing, late and old ones."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.transform_history import TransformHistory
from lang2segtrack_ros.ros.support.process import spin_until

SECOND = 1_000_000_000


def transform(parent: str, child: str, stamp: int, x: float, degrees: float = 0.0) -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
    message.transform.translation.x = x
    q = Rotation.from_euler("z", degrees, degrees=True).as_quat()
    rotation = message.transform.rotation
    rotation.x, rotation.y, rotation.z, rotation.w = (float(value) for value in q)
    return message


class Graph:
    """Two nodes: one publishes transforms, the other one has their history."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = Node("listener", context=self.context)
        self.sender = Node("sender", context=self.context)
        self.changes = 0
        self.history = TransformHistory(self.node, ReentrantCallbackGroup(), self.changed)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.static = self.sender.create_publisher(TFMessage, "/tf_static", latched)
        self.moving = self.sender.create_publisher(TFMessage, "/tf", QoSProfile(depth=100))
        assert spin_until(self.executor, 10.0, lambda: self.moving.get_subscription_count() > 0)

    def changed(self) -> None:
        self.changes += 1

    def send(self, publisher: object, *transforms: TransformStamped) -> None:
        before = self.changes
        publisher.publish(TFMessage(transforms=list(transforms)))  # type: ignore[attr-defined]
        assert spin_until(self.executor, 10.0, lambda: self.changes > before)

    def reason(self, source: str, target: str, stamp: int) -> str:
        with pytest.raises(ConversionError) as raised:
            self.history.motion(source, target, stamp)
        return raised.value.reason


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    """A robot that drives 2 m in map within 2 s, with a camera on it."""
    graph = Graph()
    graph.send(graph.static, transform("base", "camera", 0, 0.5, 90.0))
    for half in range(2, 7):
        graph.send(graph.moving, transform("map", "base", half * SECOND // 2, half / 2))
    yield graph
    graph.history.close()
    graph.executor.shutdown()
    graph.node.destroy_node()
    graph.sender.destroy_node()
    rclpy.try_shutdown(context=graph.context)


def test_chain_of_fixed_and_moving_frames(graph: Graph) -> None:
    """At 1.75 s the robot is at x = 1.75 m, between two messages. The way back is the inverse, and leading slashes mean nothing."""
    motion = graph.history.motion("/camera", "map", 7 * SECOND // 4)
    assert motion.rotation @ np.array([1.0, 0.0, 0.0]) + motion.translation == pytest.approx([2.25, 1.0, 0.0])
    back = graph.history.motion("map", "camera", 7 * SECOND // 4)
    assert back.rotation @ np.array([2.25, 1.0, 0.0]) + back.translation == pytest.approx([1.0, 0.0, 0.0])


def test_fixed_transform_holds_at_any_time(graph: Graph) -> None:
    assert graph.history.motion("camera", "base", 99 * SECOND).translation == pytest.approx([0.5, 0.0, 0.0])


def test_reasons_are_named(graph: Graph) -> None:
    """A late transform may still come, so the output waits. The others will not."""
    assert graph.reason("camera", "map", 4 * SECOND) == "late_transform"
    assert graph.reason("camera", "map", SECOND // 2) == "transform_too_old"
    assert graph.reason("camera", "moon", SECOND) == "no_transform"
    assert graph.reason("", "map", SECOND) == "no_transform"


def test_broken_transforms_change_nothing(graph: Graph) -> None:
    """A quaternion of zeros is skipped, and two frames that are each other's parents do not hang the look-up."""
    zero = transform("base", "camera", 0, 9.0)
    zero.transform.rotation.w = zero.transform.rotation.z = 0.0
    graph.send(graph.static, zero)
    assert graph.history.motion("camera", "base", SECOND).translation == pytest.approx([0.5, 0.0, 0.0])
    graph.send(graph.static, transform("left", "right", 0, 1.0), transform("right", "left", 0, 1.0))
    assert graph.reason("left", "map", SECOND) == "no_transform"
