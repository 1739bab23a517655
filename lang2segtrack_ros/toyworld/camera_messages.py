# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A toy frame and its truth as ROS messages, whoever's classes they are: rclpy's in the camera node, rosbags' in a bag.

Topics, encodings and frames are those of realsense2_camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from lang2segtrack_ros.io.result_messages import MessageLibrary, ResultMessages
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame

NAMESPACE, NODE_NAME = "/camera", "camera"


@dataclass(frozen=True)
class Topic:
    """A topic of the camera: name below the node's own, kind of message, depth of the queue; all are reliable."""

    name: str
    kind: str
    depth: int = 2
    latched: bool = False

    @property
    def path(self) -> str:
        """The full name under the default namespace and node name."""
        return f"{NAMESPACE}/{NODE_NAME}/{self.name}"


COLOR = Topic("color/image_raw", "sensor_msgs/msg/Image")
COMPRESSED = Topic("color/image_raw/compressed", "sensor_msgs/msg/CompressedImage")
INFO = Topic("color/camera_info", "sensor_msgs/msg/CameraInfo")
DEPTH = Topic("aligned_depth_to_color/image_raw", "sensor_msgs/msg/Image")
DEPTH_INFO = Topic("aligned_depth_to_color/camera_info", "sensor_msgs/msg/CameraInfo")
INSTANCES = Topic("truth/instances", "sensor_msgs/msg/Image", 30)
DETECTIONS = Topic("truth/detections", "vision_msgs/msg/Detection2DArray", 30)
DETECTIONS_3D = Topic("truth/detections_3d", "vision_msgs/msg/Detection3DArray", 30)
LABEL_INFO = Topic("truth/label_info", "vision_msgs/msg/LabelInfo", 1, latched=True)
FRAME_TOPICS = (INSTANCES, DETECTIONS, DETECTIONS_3D, INFO, COLOR, COMPRESSED, DEPTH_INFO, DEPTH)
"""What comes with each frame; the truth first, so that it is there when an answer to the image is."""


class CameraMessages:
    """Makes the messages of a scene.

    Args:
        library: whose classes.
        scene: what is seen.
        depth_encoding: 16UC1 (millimetres, 0 unknown) or 32FC1 (metres, NaN unknown).
    """

    def __init__(self, library: MessageLibrary, scene: Scene, depth_encoding: str) -> None:
        self._make = library.make
        self._numbers = library.numbers
        self._results = ResultMessages(library)
        self._scene = scene
        self._depth_encoding = depth_encoding
        self._makers: dict[Topic, Callable[[SceneFrame, Any], Any]] = {
            COLOR: lambda shot, header: self._results.image(shot.color, "rgb8", header),
            COMPRESSED: self._compressed,
            INFO: self._camera_info,
            DEPTH_INFO: self._camera_info,
            DEPTH: self._depth,
            INSTANCES: lambda shot, header: self._results.image(shot.instances, "mono16", header),
            DETECTIONS: self._detections,
            DETECTIONS_3D: self._detections_3d,
        }

    def frame(self, topic: Topic, shot: SceneFrame, stamp_ns: int) -> Any:
        """The message of one of `FRAME_TOPICS`."""
        return self._makers[topic](shot, self._header(stamp_ns))

    def label_info(self) -> Any:
        """Which label each value of `truth/instances` has: of all named bodies, also those that come later. Its stamp is 0."""
        labels = {number: body.label for number, body in enumerate(self._scene.bodies, start=1) if body.label}
        return self._results.label_info(labels, self._header(0))

    def _header(self, stamp_ns: int) -> Any:
        seconds, rest = divmod(stamp_ns, 1_000_000_000)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=self._scene.camera.frame_id)

    def _depth(self, shot: SceneFrame, header: Any) -> Any:
        if self._depth_encoding == "16UC1":
            return self._results.image(shot.depth_mm, "16UC1", header)
        return self._results.image(shot.depth_m, "32FC1", header)

    def _compressed(self, shot: SceneFrame, header: Any) -> Any:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(shot.color, cv2.COLOR_RGB2BGR))
        return self._make(COMPRESSED.kind, header=header, format="rgb8; jpeg compressed bgr8", data=self._numbers(data.ravel()))

    def _camera_info(self, _: SceneFrame, header: Any) -> Any:
        camera = self._scene.camera
        k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        everything = self._make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        return self._make(
            INFO.kind,
            header=header,
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=self._numbers(np.zeros(5)),
            k=self._numbers(k.ravel()),
            r=self._numbers(np.eye(3).ravel()),
            p=self._numbers(np.column_stack([k, np.zeros(3)]).ravel()),
            binning_x=0,
            binning_y=0,
            roi=everything,
        )

    def _detections(self, shot: SceneFrame, header: Any) -> Any:
        """Bodies that are seen: id = number, class_id = label, score = seen part of the whole silhouette."""
        seen = [(truth, truth.box) for truth in shot.bodies.values() if truth.box is not None]
        listed = [self._results.detection(truth.number, truth.label, truth.fraction, box, truth.center, header) for truth, box in seen]
        return self._make(DETECTIONS.kind, header=header, detections=listed)

    def _detections_3d(self, shot: SceneFrame, header: Any) -> Any:
        """All bodies that exist, also hidden ones; id, class_id and score as in 2-D."""
        listed = []
        for truth in shot.bodies.values():
            x, y, z = truth.extent
            size = self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
            box = self._make("vision_msgs/msg/BoundingBox3D", center=self._results.pose(truth.center), size=size)
            results = [self._results.hypothesis(truth.label, truth.fraction, truth.center)]
            listed.append(self._make("vision_msgs/msg/Detection3D", header=header, results=results, bbox=box, id=str(truth.number)))
        return self._make(DETECTIONS_3D.kind, header=header, detections=listed)
