# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Slow subscriber of all outputs of track_node. It sleeps for each message: `python listener.py SECONDS`."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from lang2segtrack.msg import TrackArray


def main() -> None:
    """Receive messages until the process is stopped."""
    pause_s = float(sys.argv[1])
    rclpy.init()
    node = rclpy.create_node("listener")

    def handle(message: Any) -> None:
        time.sleep(pause_s)

    for kind, topic in ((Image, "overlay"), (Image, "instance_masks"), (TrackArray, "tracks"), (Detection2DArray, "detections")):
        node.create_subscription(kind, topic, handle, QoSProfile(depth=5))
    print("listening", flush=True)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
