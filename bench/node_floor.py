# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The floor of the node's overhead: a node of rclpy alone that gets the same images and publishes the same messages.

`bench/node.py` starts this file as a process with messages that track_node has published, and the file for the results. The time of an
image begins and ends as for track_node: from its arrival in the process to the return of the last publish.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image


class FloorNode(Node):  # type: ignore[misc]
    """Node that publishes given messages for each image.

    Args:
        messages: messages by topic.

    Attributes:
        times_ns: time of each image in nanoseconds.
    """

    def __init__(self, messages: dict[str, Any]) -> None:
        super().__init__("floor")
        self.times_ns: list[int] = []
        self._outputs = [(self.create_publisher(type(message), topic, QoSProfile(depth=5)), message) for topic, message in messages.items()]
        self.create_subscription(Image, "color/image_raw", lambda msg, info: self._on_image(msg, info), QoSProfile(depth=2))

    def _on_image(self, msg: Image, info: Any) -> None:
        for publisher, message in self._outputs:
            message.header = msg.header
            publisher.publish(message)
        self.times_ns.append(time.time_ns() - int(info["received_timestamp"]))


if __name__ == "__main__":
    sent, results = Path(sys.argv[1]), Path(sys.argv[2])
    rclpy.init(args=["floor", *sys.argv[3:]])
    node = FloorNode(pickle.loads(sent.read_bytes()))
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    results.with_suffix(".part").write_text(json.dumps(node.times_ns))
    results.with_suffix(".part").rename(results)
