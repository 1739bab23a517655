# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of a toy frame and its ground truth to ROS messages, independent of the message classes.

The camera node uses the classes of rclpy, a bag those of rosbags. Topics, encodings and frame ids follow realsense2_camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.io.result_messages import MessageLibrary, ResultMessages
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.room import MAP_FRAME, ODOM_FRAME, Item
from lang2segtrack_ros.toyworld.room_scene import RoomScene
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame

NAMESPACE, NODE_NAME = "/camera", "camera"


@dataclass(frozen=True)
class Topic:
    """Topic of the camera: name below the node's own name, message type and queue depth. All topics are reliable."""

    name: str
    kind: str
    depth: int = 2
    latched: bool = False

    @property
    def path(self) -> str:
        """Return the full name under the default namespace and node name."""
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
"""Topics of each frame. The ground truth comes first, so it has arrived before any result for the image."""


class CameraMessages:
    """Message factory of a scene.

    Args:
        library: message classes to use.
        scene: scene that the camera shows.
        depth_encoding: "16UC1" (millimeters, 0 for unknown) or "32FC1" (meters, NaN for unknown).
    """

    def __init__(self, library: MessageLibrary, scene: Scene | RoomScene, depth_encoding: str) -> None:
        self._make = library.make
        self._to_field = library.to_field
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
        """Return the message of one topic of `FRAME_TOPICS`."""
        return self._makers[topic](shot, self._header(stamp_ns))

    def transforms(self, pose: RigidTransform, stamp_ns: int) -> Any:
        """Return the transforms of a camera in a room: of `odom` in `map`, which does not move, and of the camera in `odom`.

        Args:
            pose: transform from the optical frame to the fixed frame.
            stamp_ns: time in nanoseconds.
        """
        camera = self._scene.camera.frame_id
        edges = ((MAP_FRAME, ODOM_FRAME, RigidTransform.identity()), (ODOM_FRAME, camera, pose))
        return self._make("tf2_msgs/msg/TFMessage", transforms=[self._transform(*edge, stamp_ns) for edge in edges])

    def _transform(self, parent: str, child: str, motion: RigidTransform, stamp_ns: int) -> Any:
        x, y, z, w = (float(value) for value in Rotation.from_matrix(motion.rotation).as_quat())
        rotation = self._make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
        x, y, z = (float(value) for value in motion.translation)
        translation = self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
        transform = self._make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation)
        header = self._header(stamp_ns, parent)
        return self._make("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=transform)

    def label_info(self) -> Any:
        """Return the label of each value of `truth/instances`.

        The message covers all named bodies, also those that appear later. Its stamp is 0.
        """
        bodies: list[Body | Item] = [*self._scene.bodies]
        labels = {number: body.label for number, body in enumerate(bodies, start=1) if body.label}
        return self._results.label_info(labels, self._header(0))

    def _header(self, stamp_ns: int, frame_id: str = "") -> Any:
        seconds, rest = divmod(stamp_ns, 1_000_000_000)
        stamp = self._make("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id or self._scene.camera.frame_id)

    def _depth(self, shot: SceneFrame, header: Any) -> Any:
        if self._depth_encoding == "16UC1":
            return self._results.image(shot.depth_mm, "16UC1", header)
        return self._results.image(shot.depth_m, "32FC1", header)

    def _compressed(self, shot: SceneFrame, header: Any) -> Any:
        _, data = cv2.imencode(".jpg", cv2.cvtColor(shot.color, cv2.COLOR_RGB2BGR))
        return self._make(COMPRESSED.kind, header=header, format="rgb8; jpeg compressed bgr8", data=self._to_field(data.ravel()))

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
            d=self._to_field(np.zeros(5)),
            k=self._to_field(k.ravel()),
            r=self._to_field(np.eye(3).ravel()),
            p=self._to_field(np.column_stack([k, np.zeros(3)]).ravel()),
            binning_x=0,
            binning_y=0,
            roi=everything,
        )

    def _detections(self, shot: SceneFrame, header: Any) -> Any:
        """Return the visible bodies: id = body number, class_id = label, score = visible fraction of the silhouette."""
        seen = [(truth, truth.box) for truth in shot.bodies.values() if truth.box is not None]
        detections = [self._results.detection(truth.number, truth.label, truth.fraction, box, truth.center, header) for truth, box in seen]
        return self._make(DETECTIONS.kind, header=header, detections=detections)

    def _detections_3d(self, shot: SceneFrame, header: Any) -> Any:
        """Return all existing bodies, also hidden ones. id, class_id and score are those of the 2-D detections."""
        detections = []
        for truth in shot.bodies.values():
            x, y, z = truth.extent
            size = self._make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)
            box = self._make("vision_msgs/msg/BoundingBox3D", center=self._results.pose(truth.center), size=size)
            results = [self._results.hypothesis(truth.label, truth.fraction, truth.center)]
            detections.append(self._make("vision_msgs/msg/Detection3D", header=header, results=results, bbox=box, id=str(truth.number)))
        return self._make(DETECTIONS_3D.kind, header=header, detections=detections)
