# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A camera that shows the toy world with a RealSense's topics, encodings and frames, and tells the truth on the side."""

from __future__ import annotations

import array
import signal
import sys
from typing import Any

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from lang2segtrack_ros.ros.conversions import image_message, label_info_message
from lang2segtrack_ros.toyworld.scene import demo_scene


class ToyCamera(Node):
    """Publishes the demo scene.

    Topics as realsense2_camera names them under `/camera/camera`: `color/image_raw` (rgb8), `color/image_raw/compressed` (when
    listened to), `color/camera_info`, `aligned_depth_to_color/image_raw` (16UC1, millimetres); and the truth: `truth/instances`
    (mono16, 1 + number of the body) with latched `truth/label_info`.
    """

    def __init__(self, node_name: str = "camera", **kwargs: Any) -> None:
        super().__init__(node_name, **{"namespace": "/camera", **kwargs})
        self._fps = float(self.declare_parameter("fps", 15.0).value)
        width = int(self.declare_parameter("width", 640).value)
        height = int(self.declare_parameter("height", 480).value)
        self.scene = demo_scene(width, height, int(self.declare_parameter("seed", 4).value))
        frames = QoSProfile(depth=2)
        self._color = self.create_publisher(Image, "~/color/image_raw", frames)
        self._compressed = self.create_publisher(CompressedImage, "~/color/image_raw/compressed", frames)
        self._info = self.create_publisher(CameraInfo, "~/color/camera_info", frames)
        self._depth = self.create_publisher(Image, "~/aligned_depth_to_color/image_raw", frames)
        self._truth = self.create_publisher(Image, "~/truth/instances", QoSProfile(depth=30))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._labels = self.create_publisher(type(label_info_message({}, Header())), "~/truth/label_info", latched)
        labels = {number + 1: body.label for number, body in enumerate(self.scene.bodies)}
        self._labels.publish(label_info_message(labels, Header(frame_id=self.scene.camera.frame_id)))
        self.index = 0
        self.create_timer(1.0 / self._fps, self._publish)

    def _camera_info(self, header: Header) -> CameraInfo:
        camera = self.scene.camera
        k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
        p = [camera.fx, 0.0, camera.cx, 0.0, 0.0, camera.fy, camera.cy, 0.0, 0.0, 0.0, 1.0, 0.0]
        eye = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
        return CameraInfo(
            header=header, height=camera.height, width=camera.width, distortion_model="plumb_bob", d=[0.0] * 5, k=k, r=eye, p=p
        )

    def _publish(self) -> None:
        shot = self.scene.render(self.index)
        self.index += 1
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.scene.camera.frame_id)
        self._truth.publish(image_message(shot.instances, "mono16", header))
        self._info.publish(self._camera_info(header))
        self._color.publish(image_message(shot.color, "rgb8", header))
        self._depth.publish(image_message(shot.depth_mm, "16UC1", header))
        if self._compressed.get_subscription_count():
            _, data = cv2.imencode(".jpg", cv2.cvtColor(shot.color, cv2.COLOR_RGB2BGR))
            self._compressed.publish(
                CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=array.array("B", data.tobytes()))
            )


def main(args: list[str] | None = None) -> int:
    """Runs the camera until it is told to stop."""
    cv2.setNumThreads(1)
    rclpy.init(args=args)
    node = ToyCamera()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for second in (signal.SIGINT, signal.SIGTERM):
            signal.signal(second, signal.SIG_IGN)
        print(f"frames published: {node.index}", file=sys.stderr)
        node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
    return 0
