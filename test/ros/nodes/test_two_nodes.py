# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Two track_nodes in one process and one executor do not influence each other."""

from __future__ import annotations

import os
from collections.abc import Callable

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from lang2segtrack.msg import TrackArray
from lang2segtrack.srv import AddBoxPrompt
from lang2segtrack_ros.ros.nodes.track_node import TrackNode
from lang2segtrack_ros.ros.support.conversions import MESSAGES
from lang2segtrack_ros.ros.support.process import spin_until
from lang2segtrack_ros.toyworld.scene import SceneFrame
from test.conftest import body_box


def test_two_nodes_in_one_process_are_independent(frames: list[SceneFrame]) -> None:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=int(os.environ["ROS_DOMAIN_ID"]))
    toy = [
        Parameter(name, value=value) for name, value in (("segmenter", "toy"), ("detector", ""), ("device", "cpu"), ("use_depth", False))
    ]
    nodes = [TrackNode(context=context, namespace=name, parameter_overrides=toy) for name in ("left", "right")]
    camera = rclpy.create_node("camera", context=context)
    executor = SingleThreadedExecutor(context=context)
    received: dict[str, list[TrackArray]] = {"left": [], "right": []}
    publishers = {}
    for name in received:
        camera.create_subscription(TrackArray, f"/{name}/tracks", received[name].append, QoSProfile(depth=20))
        publishers[name] = camera.create_publisher(Image, f"/{name}/color/image_raw", QoSProfile(depth=2))
    for node in (*nodes, camera):
        executor.add_node(node)

    def spin(seconds: float, until: Callable[[], bool]) -> bool:
        return spin_until(executor, seconds, until)

    try:
        assert all(node.autostart() for node in nodes)
        client = camera.create_client(AddBoxPrompt, "/left/add_box_prompt")
        assert spin(10, client.service_is_ready)
        x1, y1, x2, y2 = body_box(frames[0], 1)
        future = client.call_async(AddBoxPrompt.Request(x_min=x1, y_min=y1, x_max=x2, y_max=y2, label="left only"))
        for frame in frames[:40]:
            for publisher in publishers.values():
                publisher.publish(MESSAGES.image(frame.color, "rgb8", Header(frame_id="eye")))
            spin(0.3, lambda: False)
            if future.done() and received["right"] and received["left"] and received["left"][-1].tracks:
                break
        assert future.result().success
        assert [track.label for track in received["left"][-1].tracks] == ["left only"]
        assert all(message.tracks == [] for message in received["right"])
        assert received["right"]
    finally:
        for node in nodes:
            node.destroy_node()
        camera.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown(context=context)
