# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as ROS messages. The message classes are those of rclpy in the nodes, and those of rosbags in a bag."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.image_messages import MAX_INSTANCE_ID, paint_instances
from lang2segtrack_ros.io.semantic_mask import paint
from lang2segtrack_ros.types.results import FrameResult, Source, Track
from lang2segtrack_ros.types.rle import Box, Rle

Position3D = tuple[float, float, float]
"""x, y, z in meters, in the frame of the message's header."""
DETECTIONS, LABEL_INFO = "vision_msgs/msg/Detection2DArray", "vision_msgs/msg/LabelInfo"
IMAGE, TRACKS = "sensor_msgs/msg/Image", "lang2segtrack/msg/TrackArray"

_SOURCES = (Source.FORWARD, Source.BACKWARD, Source.MERGED)  # in the order of the constants of lang2segtrack/msg/Track


class MessageLibrary(Protocol):
    """The message classes of one library."""

    def make(self, kind: str, **values: Any) -> Any:
        """Return a message.

        Args:
            kind: its type, such as sensor_msgs/msg/Image.
            **values: values of all its fields.
        """

    def to_field(self, values: NDArray[Any]) -> Any:
        """Return a flat uint8 or float64 array as the library needs it in a field."""

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """Return a field of zero bytes and an array of zeros in the same memory, so that painting the array fills the field without a copy.

        Args:
            shape: of the array.
            kind: NumPy type of the array.
        """


class ResultMessages:
    """A converter from results to messages.

    Args:
        library: the message classes. Headers passed to the methods are messages of this library too.
    """

    def __init__(self, library: MessageLibrary) -> None:
        self._make, self._to_field, self._zeros = library.make, library.to_field, library.zeros

    def image(self, pixels: NDArray[Any], encoding: str, header: Any) -> Any:
        """Return an array [H, W] or [H, W, C] as a little-endian sensor_msgs/Image."""
        little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        return self._image(little, self._to_field(little.view(np.uint8).reshape(-1)), encoding, header)

    def _image(self, pixels: NDArray[Any], data: Any, encoding: str, header: Any) -> Any:
        height, width = pixels.shape[:2]
        return self._make(
            IMAGE, header=header, height=height, width=width, encoding=encoding, is_bigendian=0, step=pixels.strides[0], data=data
        )

    def box(self, box: Box | None) -> Any:
        """Return a box (x_min, y_min, x_max, y_max) in pixels as vision_msgs/BoundingBox2D (center and size); all zeros for None."""
        x1, y1, x2, y2 = map(float, box or (0, 0, 0, 0))
        position = self._make("vision_msgs/msg/Point2D", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
        center = self._make("vision_msgs/msg/Pose2D", position=position, theta=0.0)
        return self._make("vision_msgs/msg/BoundingBox2D", center=center, size_x=x2 - x1, size_y=y2 - y1)

    def pose(self, position: Position3D) -> Any:
        """Return a position in meters as geometry_msgs/Pose without rotation."""
        x, y, z = position
        point = self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        identity = self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        return self._make("geometry_msgs/msg/Pose", position=point, orientation=identity)

    def hypothesis(self, label: str, score: float, position: Position3D) -> Any:
        """Return a vision_msgs/ObjectHypothesisWithPose with class_id = label."""
        name = self._make("vision_msgs/msg/ObjectHypothesis", class_id=label, score=score)
        pose = self._make("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(position), covariance=self._to_field(np.zeros(36)))
        return self._make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=name, pose=pose)

    def detection(self, track_id: int, label: str, score: float, box: Box, position: Position3D, header: Any) -> Any:
        """Return a vision_msgs/Detection2D with id = track id and class_id = label.

        Args:
            track_id: the id of the object.
            label: the name of the object.
            score: from 0 to 1.
            box: (x_min, y_min, x_max, y_max) in pixels.
            position: in meters, in the header's frame; zeros if unknown.
            header: of the image.
        """
        results = [self.hypothesis(label, score, position)]
        return self._make("vision_msgs/msg/Detection2D", header=header, results=results, bbox=self.box(box), id=str(track_id))

    def detections(self, tracks: Iterable[Track], header: Any) -> Any:
        """Return the visible tracks as vision_msgs/Detection2DArray."""
        visible = [(track, track.box) for track in tracks if track.box is not None]
        detections = [self.detection(track.id, track.label, track.score, box, (0.0, 0.0, 0.0), header) for track, box in visible]
        return self._make(DETECTIONS, header=header, detections=detections)

    def rle(self, rle: Rle) -> Any:
        """Return an encoded mask as lang2segtrack/RleMask."""
        return self._make("lang2segtrack/msg/RleMask", height=rle.height, width=rle.width, counts=rle.counts)

    def track(self, track: Track, with_mask: bool = True) -> Any:
        """Return one track as lang2segtrack/Track. `with_mask=False` leaves the mask empty."""
        return self._make(
            "lang2segtrack/msg/Track",
            id=track.id,
            label=track.label,
            state=int(track.state),
            score=track.score,
            predicted_iou=_finite(track.predicted_iou),
            object_score=_finite(track.object_score),
            motion_score=float(track.motion_score),
            frames_since_seen=track.frames_since_seen,
            source=_SOURCES.index(track.source),
            agreement=float(track.agreement),
            confidence=float(track.confidence),
            bbox=self.box(track.box),
            mask=self.rle(track.rle if with_mask else Rle(0, 0, "")),
        )

    def tracks(self, tracks: Iterable[Track], header: Any) -> Any:
        """Return all tracks as lang2segtrack/TrackArray."""
        return self._make(TRACKS, header=header, tracks=[self.track(track) for track in tracks])

    def instance_masks(self, result: FrameResult, header: Any) -> Any:
        """Return the mono16 image that holds the ids of the announced tracks."""
        data, pixels = self._zeros((result.height, result.width), "<u2")
        paint_instances(pixels, result.announced)
        return self._image(pixels, data, "mono16", header)

    def painted_masks(self, result: FrameResult, value: Callable[[Track], int], header: Any) -> Any:
        """Return the mono8 image that holds a value of each announced track, 0 to 255, on its mask."""
        data, pixels = self._zeros((result.height, result.width), "u1")
        paint(pixels, result.announced, value)
        return self._image(pixels, data, "mono8", header)

    def label_info(self, labels: dict[int, str], header: Any) -> Any:
        """Return the meaning of the values in the instance image as vision_msgs/LabelInfo: class_id = track id, class_name = label."""
        kind = "vision_msgs/msg/VisionClass"
        classes = [
            self._make(kind, class_id=min(track_id, MAX_INSTANCE_ID), class_name=label) for track_id, label in sorted(labels.items())
        ]
        return self._make(LABEL_INFO, header=header, class_map=classes, threshold=0.0)


class LabelBook:
    """The labels of the ids in the instance images.

    A label stays while its track exists, also while the object is hidden.

    Attributes:
        labels: label by track id.
    """

    def __init__(self) -> None:
        self.labels: dict[int, str] = {}
        self._has_result = False

    def update(self, result: FrameResult) -> bool:
        """Update the labels from a result. Return True if `labels` changed, or if this is the first result."""
        labels = self.labels | {track.id: track.label for track in result.announced if track.box is not None}
        labels = {track_id: label for track_id, label in labels.items() if track_id in result.by_id}
        changed = labels != self.labels or not self._has_result
        self.labels, self._has_result = labels, True
        return changed


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
