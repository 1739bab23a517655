# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as serialised ROS messages, through rosbags' types; the contents are those of the node's own topics (`ros/conversions`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, MessageDefinitionFormat, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from lang2segtrack_ros.bag_types import bag_typestore
from lang2segtrack_ros.bags.definitions import DEFINITIONS
from lang2segtrack_ros.image_messages import MAX_INSTANCE_ID, compressed_to_rgb, image_to_rgb, instance_image
from lang2segtrack_ros.results import FrameResult, Track

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
TYPES = {
    "detections": "vision_msgs/msg/Detection2DArray",
    "instance_masks": IMAGE,
    "label_info": "vision_msgs/msg/LabelInfo",
    "tracks": "lang2segtrack/msg/TrackArray",
    "tracks_refined": "lang2segtrack/msg/TrackArray",
    "overlay": IMAGE,
}


def our_types() -> Typestore:
    """The common interfaces, vision_msgs and ours."""
    store = bag_typestore()
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


def qos_of(topic: str) -> Qos:
    """The QoS the node offers: reliable, five deep, `label_info` latched."""
    latched = topic == "label_info"
    never = QosTime(2147483647, 4294967295)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 5,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        never,
        never,
        QosLiveliness.AUTOMATIC,
        never,
        False,
    )


def definition(connection: Connection, store: Typestore) -> tuple[str, str]:
    """Definition and type hash of an input's topic, for the output: its own where it has one, else the one we know, else none."""
    kind, text = connection.msgtype, connection.msgdef.data
    if connection.msgdef.format == MessageDefinitionFormat.NONE:
        if kind not in store.fielddefs:
            return "", connection.digest or "RIHS01_" + "0" * 64
        text = store.generate_msgdef(kind, ros_version=2)[0]
    if connection.digest:
        return text, connection.digest
    own = get_typestore(Stores.EMPTY)
    parse = get_types_from_idl if connection.msgdef.format == MessageDefinitionFormat.IDL else None
    own.register(parse(text) if parse else get_types_from_msg(text, kind))
    return text, own.hash_rihs01(kind)


class Messages:
    """Reads images and writes results; one for a whole bag."""

    def __init__(self) -> None:
        self.store = our_types()
        self._types = self.store.types

    def image(self, kind: str, data: bytes) -> tuple[Any, NDArray[np.uint8]]:
        """Header and RGB uint8 [H, W, 3] of a serialised Image or CompressedImage.

        Raises:
            ConversionError: the image cannot be used.
        """
        message: Any = self.store.deserialize_cdr(data, kind)
        return message.header, image_to_rgb(message) if kind == IMAGE else compressed_to_rgb(message)

    def _make(self, kind: str, **fields: Any) -> Any:
        return self._types[kind](**fields)

    def _box(self, track: Track) -> Any:
        x1, y1, x2, y2 = track.box or (0.0, 0.0, 0.0, 0.0)
        middle = self._make("vision_msgs/msg/Point2D", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
        centre = self._make("vision_msgs/msg/Pose2D", position=middle, theta=0.0)
        return self._make("vision_msgs/msg/BoundingBox2D", center=centre, size_x=x2 - x1, size_y=y2 - y1)

    def detections(self, header: Any, tracks: Sequence[Track]) -> bytes:
        """The visible tracks as Detection2DArray."""
        point = self._make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0)
        upright = self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        pose = self._make("geometry_msgs/msg/Pose", position=point, orientation=upright)
        unknown = self._make("geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36))
        listed = []
        for track in tracks:
            if track.box is not None:
                name = self._make("vision_msgs/msg/ObjectHypothesis", class_id=track.label, score=track.score)
                result = self._make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=name, pose=unknown)
                kind = "vision_msgs/msg/Detection2D"
                listed.append(self._make(kind, header=header, results=[result], bbox=self._box(track), id=str(track.id)))
        return self._bytes("detections", header=header, detections=listed)

    def tracks(self, header: Any, tracks: Sequence[Track]) -> bytes:
        """All tracks as TrackArray."""
        listed = [
            self._make(
                "lang2segtrack/msg/Track",
                id=track.id,
                label=track.label,
                state=int(track.state),
                score=track.score,
                predicted_iou=track.predicted_iou if math.isfinite(track.predicted_iou) else 0.0,
                object_score=track.object_score if math.isfinite(track.object_score) else 0.0,
                motion_score=track.motion_score,
                frames_since_seen=track.frames_since_seen,
                bbox=self._box(track),
                mask=self._make("lang2segtrack/msg/RleMask", height=track.rle.height, width=track.rle.width, counts=track.rle.counts),
            )
            for track in tracks
        ]
        return self._bytes("tracks", header=header, tracks=listed)

    def instance_masks(self, header: Any, result: FrameResult) -> bytes:
        """The mono16 image of ids."""
        return self._image("instance_masks", header, instance_image(result.tracks, result.height, result.width), "mono16")

    def overlay(self, header: Any, painted: NDArray[np.uint8]) -> bytes:
        """A painted image."""
        return self._image("overlay", header, painted, "rgb8")

    def label_info(self, header: Any, labels: dict[int, str]) -> bytes:
        """What the values of the instance image mean."""
        kind = "vision_msgs/msg/VisionClass"
        classes = [self._make(kind, class_id=min(number, MAX_INSTANCE_ID), class_name=name) for number, name in sorted(labels.items())]
        return self._bytes("label_info", header=header, class_map=classes, threshold=0.0)

    def _image(self, topic: str, header: Any, pixels: NDArray[Any], encoding: str) -> bytes:
        height, width = pixels.shape[:2]
        data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
        step = data.size // height
        return self._bytes(topic, header=header, height=height, width=width, encoding=encoding, is_bigendian=0, step=step, data=data)

    def _bytes(self, topic: str, **fields: Any) -> bytes:
        return bytes(self.store.serialize_cdr(self._make(TYPES[topic], **fields), TYPES[topic]))
