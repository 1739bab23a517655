# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The message types and QoS profiles that bags are read and written with where no ROS is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

# vision_msgs 4, field by field; rosbags knows the common interfaces only.
_VISION_MSGS = {
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox2D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\nvision_msgs/BoundingBox3D bbox\nstring id\n",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
    "LabelInfo": "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "VisionClass": "uint16 class_id\nstring class_name\n",
}
DEFINITIONS = {
    "lang2segtrack/msg/RleMask": """\
uint32 height
uint32 width
string counts
""",
    "lang2segtrack/msg/Track": """\
uint8 TENTATIVE=0
uint8 TRACKED=1
uint8 OCCLUDED=2
uint8 LOST=3
uint8 REMOVED=4
uint32 id
string label
uint8 state
float32 score
float32 predicted_iou
float32 object_score
float32 motion_score
uint32 frames_since_seen
vision_msgs/BoundingBox2D bbox
RleMask mask
""",
    "lang2segtrack/msg/TrackArray": """\
std_msgs/Header header
Track[] tracks
""",
}
"""Our own messages; a test compares them with `msg/`."""


class BagError(ValueError):
    """A bag that cannot be read or written; the message says why."""


class BagMessages:
    """rosbags' message classes, see `result_messages.MessageLibrary`: Humble's common interfaces, whose images and cameras are those of
    all later distributions, vision_msgs and ours.
    """

    def __init__(self) -> None:
        self.typestore: Typestore = get_typestore(Stores.ROS2_HUMBLE)
        for name, definition in {**{f"vision_msgs/msg/{name}": text for name, text in _VISION_MSGS.items()}, **DEFINITIONS}.items():
            self.typestore.register(get_types_from_msg(definition, name))

    def make(self, kind: str, **values: Any) -> Any:
        """A message."""
        return self.typestore.types[kind](**values)

    def numbers(self, values: NDArray[Any]) -> Any:
        """The array itself, which is what rosbags takes."""
        return values

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """An array, flat and in its shape."""
        values = np.zeros(shape, kind)
        return values.reshape(-1).view(np.uint8), values


def offered_qos(depth: int, latched: bool = False) -> Qos:
    """A reliable publisher's profile, as rclpy's own are; a `latched` one serves late subscribers too."""
    never = QosTime(2147483647, 4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, never, never, QosLiveliness.AUTOMATIC, never, False)
