# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Camera node that shows the toy world. Topics, encodings and frame ids are those of a RealSense; ground truth has its own topics."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

import cv2
import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from lang2segtrack_ros.ros.support.command_line import check_command_line
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.ros.support.interfaces import TF_INPUT
from lang2segtrack_ros.ros.support.process import executing, spin
from lang2segtrack_ros.toyworld.camera_messages import FRAME_TOPICS, LABEL_INFO, NAMESPACE, NODE_NAME, CameraMessages, Topic
from lang2segtrack_ros.toyworld.room_scene import RoomFrame, RoomScene
from lang2segtrack_ros.toyworld.stream import StreamError, StreamOptions


class ToyCamera(Node):
    """Node that publishes the demo scene or a suite of clips without end, on the topics of `camera_messages`.

    The parameters are the fields of `StreamOptions`. Stamps lie on a regular grid. A machine that is too slow for the frame rate
    publishes every frame, but later. The scene waits meanwhile, and slots of the grid stay empty.

    Attributes:
        scene: scene that the camera shows.
        index: index of the next frame.
        published, left_out: counts of published frames and of frames that the parameter `drop` left out.

    Raises:
        StreamError: A parameter is unknown or out of its range.
    """

    def __init__(self, node_name: str = NODE_NAME, **kwargs: Any) -> None:
        super().__init__(node_name, **{"namespace": NAMESPACE, **kwargs})
        try:
            self._options = self._read_options()
        except StreamError:
            self.destroy_node()
            raise
        self.scene = self._options.scene()
        self._messages = CameraMessages(RosMessages(), self.scene, self._options.depth_encoding)
        self._frame_publishers = {topic: self._publisher(topic) for topic in FRAME_TOPICS}
        self._tf = TF_INPUT.advertise(self) if isinstance(self.scene, RoomScene) else None
        self._publisher(LABEL_INFO).publish(self._messages.label_info())
        shown = ". ".join(self.scene.labels)
        self.get_logger().info(f"shows {', '.join(self.scene.labels)}; to track them, give the text prompt '{shown}.'")
        self.index = self.published = self.left_out = 0
        self._slot = 0
        self._start_ns: int | None = None
        self._skip_dropped()
        self._timer = self.create_timer(self._options.period_ns / 1e9, self._publish)

    def _read_options(self) -> StreamOptions:
        options = fields(StreamOptions)
        overrides = {name for name in self._parameter_overrides if name != "use_sim_time" and not name.startswith("qos_overrides")}
        unknown = sorted(overrides - {option.name for option in options})
        if unknown:
            raise StreamError(f"unknown parameter {', '.join(unknown)}; the parameters are: {', '.join(option.name for option in options)}")
        values = {}
        for option in options:  # dynamic typing lets StreamOptions report wrong types, and accepts fps:=15
            descriptor = ParameterDescriptor(description=option.metadata["text"], read_only=True, dynamic_typing=True)
            values[option.name] = self.declare_parameter(option.name, option.default, descriptor).value
        return StreamOptions(**values)

    def _publisher(self, topic: Topic) -> Any:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
        return self.create_publisher(
            RosMessages.message_class(topic.kind), f"~/{topic.name}", QoSProfile(depth=topic.depth, durability=durability)
        )

    def _skip_dropped(self) -> None:
        while not self._options.is_published(self.index):
            self.index += 1
            self._slot += 1
            self.left_out += 1

    def _publish(self) -> None:
        now = self.get_clock().now().nanoseconds
        period = self._options.period_ns
        if self._start_ns is None:
            self._start_ns = now - self._options.delay_ns(self.index) - self._slot * period
        self._slot += max(0, (now - self._due_ns(self._start_ns)) // period)
        stamp = self._start_ns + self._slot * period
        frame = self.scene.render(self.index)
        if self._tf is not None and isinstance(frame, RoomFrame):
            self._tf.publish(self._messages.transforms(frame.pose, stamp))
        for topic, publisher in self._frame_publishers.items():
            if publisher.get_subscription_count():
                publisher.publish(self._messages.frame(topic, frame, stamp))
        self.index += 1
        self._slot += 1
        self.published += 1
        self._skip_dropped()
        self._timer.timer_period_ns = max(1, self._due_ns(self._start_ns) - self.get_clock().now().nanoseconds)
        self._timer.reset()

    def _due_ns(self, start_ns: int) -> int:
        return start_ns + self._slot * self._options.period_ns + self._options.delay_ns(self.index)


def main(args: list[str] | None = None) -> int:
    """Run the camera until it is stopped. Return the exit code."""
    rows = [(option.name, option.default, option.metadata["text"]) for option in fields(StreamOptions)]
    check_command_line("toy_camera", "Publish images of the toy world, as a RealSense camera would.", rows, args)
    cv2.setNumThreads(1)
    try:
        rclpy.init(args=args)
        node = ToyCamera()
    except Exception as error:  # a wrong command line or parameter; rclpy has many exception classes
        print(f"toy_camera: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 2
    try:
        with executing(node) as executor:
            spin(executor)
    finally:
        print(f"frames published: {node.published}, left out: {node.left_out}", file=sys.stderr)
    return 0
