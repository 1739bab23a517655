# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Message types and QoS profiles to read and write bags without a ROS installation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

# Definitions of vision_msgs 4; rosbags has only those of the common interfaces.
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
uint8 FORWARD=0
uint8 BACKWARD=1
uint8 MERGED=2
uint32 id
string label
uint8 state
float32 score
float32 predicted_iou
float32 object_score
float32 motion_score
uint32 frames_since_seen
uint8 source
float32 agreement
float32 confidence
vision_msgs/BoundingBox2D bbox
RleMask mask
""",
    "lang2segtrack/msg/TrackArray": """\
std_msgs/Header header
Track[] tracks
""",
}
"""Definitions of this package's messages; a test compares them with `msg/`."""


class BagError(ValueError):
    """Error for a bag that cannot be read or written; the message gives the reason."""


class BagMessages:
    """The message classes of rosbags, as a `result_messages.MessageLibrary`.

    They are the common interfaces of Humble, vision_msgs, and the messages of this package. The definitions of images and cameras are the
    same in all later distributions.

    Attributes:
        typestore: the message types.
    """

    def __init__(self) -> None:
        self.typestore: Typestore = get_typestore(Stores.ROS2_HUMBLE)
        for name, definition in {**{f"vision_msgs/msg/{name}": text for name, text in _VISION_MSGS.items()}, **DEFINITIONS}.items():
            self.typestore.register(get_types_from_msg(definition, name))

    def make(self, kind: str, **values: Any) -> Any:
        """Return a message of type `kind` with these values."""
        return self.typestore.types[kind](**values)

    def to_field(self, values: NDArray[Any]) -> Any:
        """Return the array itself, as rosbags needs it."""
        return values

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """Return zeros as a flat uint8 field, and the same memory as an array of this shape and NumPy type."""
        values = np.zeros(shape, kind)
        return values.reshape(-1).view(np.uint8), values


def offered_qos(depth: int, latched: bool = False) -> Qos:
    """Return the QoS profile of a reliable publisher, with the defaults of rclpy.

    Args:
        depth: length of the queue.
        latched: True for transient local durability, which also serves late subscribers.
    """
    infinite = QosTime(2147483647, 4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, infinite, infinite, QosLiveliness.AUTOMATIC, infinite, False
    )
