# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A toy frame and its truth as ROS messages, whoever's classes they are: rclpy's in the camera node, rosbags' in a bag.

Topics, encodings and frames are those of realsense2_camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.scene import BodyTruth, Scene, SceneFrame

NAMESPACE, NODE_NAME = "/camera", "camera"


class MessageLibrary(Protocol):
    """One library's message classes."""

    def make(self, kind: str, **values: Any) -> Any:
        """A message of a kind such as sensor_msgs/msg/Image; all its fields are given."""

    def numbers(self, values: NDArray[Any]) -> Any:
        """A flat uint8 or float64 array as the library wants it in a field."""


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
INSTANCES = Topic("truth/instances", "sensor_msgs/msg/Image", 30)
DETECTIONS = Topic("truth/detections", "vision_msgs/msg/Detection2DArray", 30)
DETECTIONS_3D = Topic("truth/detections_3d", "vision_msgs/msg/Detection3DArray", 30)
LABEL_INFO = Topic("truth/label_info", "vision_msgs/msg/LabelInfo", 1, latched=True)
FRAME_TOPICS = (INSTANCES, DETECTIONS, DETECTIONS_3D, INFO, COLOR, COMPRESSED, DEPTH)
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
        self._scene = scene
        self._depth_encoding = depth_encoding
        self._makers: dict[Topic, Callable[[SceneFrame, Any], Any]] = {
            COLOR: lambda shot, header: self._image(shot.color, "rgb8", header),
            COMPRESSED: self._compressed,
            INFO: self._camera_info,
            DEPTH: self._depth,
            INSTANCES: lambda shot, header: self._image(shot.instances, "mono16", header),
            DETECTIONS: self._detections,
            DETECTIONS_3D: self._detections_3d,
        }

    def frame(self, topic: Topic, shot: SceneFrame, stamp_ns: int) -> Any:
        """The message of one of `FRAME_TOPICS`."""
        return self._makers[topic](shot, self._header(stamp_ns))

    def label_info(self) -> Any:
        """Which label each value of `truth/instances` has: of all named bodies, also those that come later. Its stamp is 0."""
        classes = [
            self._make("vision_msgs/msg/VisionClass", class_id=number, class_name=body.label)
            for number, body in enumerate(self._scene.bodies, start=1)
            if body.label
        ]
        return self._make(LABEL_INFO.kind, header=self._header(0), class_map=classes, threshold=0.0)

    def _header(self, stamp_ns: int) -> Any:
        seconds, rest = divmod(stamp_ns, 1_000_000_000)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=self._scene.camera.frame_id)

    def _image(self, pixels: NDArray[Any], encoding: str, header: Any) -> Any:
        return self._make(
            "sensor_msgs/msg/Image",
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.strides[0],
            data=self._numbers(np.frombuffer(pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes(), np.uint8)),
        )

    def _depth(self, shot: SceneFrame, header: Any) -> Any:
        if self._depth_encoding == "16UC1":
            return self._image(shot.depth_mm, "16UC1", header)
        return self._image(shot.depth_m, "32FC1", header)

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
        detections = []
        for truth in shot.bodies.values():
            if truth.box is None:
                continue
            x1, y1, x2, y2 = truth.box
            position = self._make("vision_msgs/msg/Point2D", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
            center = self._make("vision_msgs/msg/Pose2D", position=position, theta=0.0)
            box = self._make("vision_msgs/msg/BoundingBox2D", center=center, size_x=float(x2 - x1), size_y=float(y2 - y1))
            detections.append(
                self._make("vision_msgs/msg/Detection2D", header=header, results=[self._hypothesis(truth)], bbox=box, id=str(truth.number))
            )
        return self._make(DETECTIONS.kind, header=header, detections=detections)

    def _detections_3d(self, shot: SceneFrame, header: Any) -> Any:
        """All bodies that exist, also hidden ones; id, class_id and score as in 2-D."""
        detections = []
        for truth in shot.bodies.values():
            x, y, z = truth.extent
            size = self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
            box = self._make("vision_msgs/msg/BoundingBox3D", center=self._pose(truth.center), size=size)
            detections.append(
                self._make("vision_msgs/msg/Detection3D", header=header, results=[self._hypothesis(truth)], bbox=box, id=str(truth.number))
            )
        return self._make(DETECTIONS_3D.kind, header=header, detections=detections)

    def _hypothesis(self, truth: BodyTruth) -> Any:
        hypothesis = self._make("vision_msgs/msg/ObjectHypothesis", class_id=truth.label, score=truth.fraction)
        pose = self._make("geometry_msgs/msg/PoseWithCovariance", pose=self._pose(truth.center), covariance=self._numbers(np.zeros(36)))
        return self._make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=pose)

    def _pose(self, place: tuple[float, float, float]) -> Any:
        x, y, z = place
        position = self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        unturned = self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        return self._make("geometry_msgs/msg/Pose", position=position, orientation=unturned)
