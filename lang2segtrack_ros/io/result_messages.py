# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as ROS messages, whoever's classes they are: rclpy's in the nodes, rosbags' in a bag."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.image_messages import MAX_INSTANCE_ID, paint_instances
from lang2segtrack_ros.types.results import FrameResult, Track
from lang2segtrack_ros.types.rle import Box, Rle

Place = tuple[float, float, float]
DETECTIONS, LABEL_INFO = "vision_msgs/msg/Detection2DArray", "vision_msgs/msg/LabelInfo"
IMAGE, TRACKS = "sensor_msgs/msg/Image", "lang2segtrack/msg/TrackArray"


class MessageLibrary(Protocol):
    """One library's message classes."""

    def make(self, kind: str, **values: Any) -> Any:
        """A message of a kind such as sensor_msgs/msg/Image; all its fields are given."""

    def numbers(self, values: NDArray[Any]) -> Any:
        """A flat uint8 or float64 array as the library wants it in a field."""

    def zeros(self, shape: tuple[int, ...], kind: str) -> tuple[Any, NDArray[Any]]:
        """A field of bytes that are 0, and an array of this shape and type in the same memory: what is painted there need not be copied."""


class ResultMessages:
    """Makes messages of results with the classes of `library`. Headers are messages of that library."""

    def __init__(self, library: MessageLibrary) -> None:
        self._make, self._numbers, self._zeros = library.make, library.numbers, library.zeros

    def image(self, pixels: NDArray[Any], encoding: str, header: Any) -> Any:
        """An array [H, W] or [H, W, C] as a little-endian sensor_msgs/Image."""
        little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
        return self._image(little, self._numbers(little.view(np.uint8).reshape(-1)), encoding, header)

    def _image(self, pixels: NDArray[Any], data: Any, encoding: str, header: Any) -> Any:
        height, width = pixels.shape[:2]
        return self._make(
            IMAGE, header=header, height=height, width=width, encoding=encoding, is_bigendian=0, step=pixels.strides[0], data=data
        )

    def box(self, box: Box | None) -> Any:
        """A box (x_min, y_min, x_max, y_max) as vision_msgs/BoundingBox2D, its centre and size; zeros for none."""
        x1, y1, x2, y2 = map(float, box or (0, 0, 0, 0))
        position = self._make("vision_msgs/msg/Point2D", x=(x1 + x2) / 2, y=(y1 + y2) / 2)
        center = self._make("vision_msgs/msg/Pose2D", position=position, theta=0.0)
        return self._make("vision_msgs/msg/BoundingBox2D", center=center, size_x=x2 - x1, size_y=y2 - y1)

    def pose(self, place: Place) -> Any:
        """A geometry_msgs/Pose without rotation."""
        x, y, z = place
        position = self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)
        unturned = self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        return self._make("geometry_msgs/msg/Pose", position=position, orientation=unturned)

    def hypothesis(self, label: str, score: float, place: Place) -> Any:
        """A vision_msgs/ObjectHypothesisWithPose."""
        name = self._make("vision_msgs/msg/ObjectHypothesis", class_id=label, score=score)
        pose = self._make("geometry_msgs/msg/PoseWithCovariance", pose=self.pose(place), covariance=self._numbers(np.zeros(36)))
        return self._make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=name, pose=pose)

    def detection(self, number: int, label: str, score: float, box: Box, place: Place, header: Any) -> Any:
        """A vision_msgs/Detection2D: id = number, class_id = label."""
        results = [self.hypothesis(label, score, place)]
        return self._make("vision_msgs/msg/Detection2D", header=header, results=results, bbox=self.box(box), id=str(number))

    def detections(self, tracks: Iterable[Track], header: Any) -> Any:
        """The visible tracks as vision_msgs/Detection2DArray."""
        seen = [(track, track.box) for track in tracks if track.box is not None]
        listed = [self.detection(track.id, track.label, track.score, box, (0.0, 0.0, 0.0), header) for track, box in seen]
        return self._make(DETECTIONS, header=header, detections=listed)

    def rle(self, rle: Rle) -> Any:
        """A run-length encoded mask."""
        return self._make("lang2segtrack/msg/RleMask", height=rle.height, width=rle.width, counts=rle.counts)

    def track(self, track: Track, with_mask: bool = True) -> Any:
        """One lang2segtrack/Track."""
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
            bbox=self.box(track.box),
            mask=self.rle(track.rle if with_mask else Rle(0, 0, "")),
        )

    def tracks(self, tracks: Iterable[Track], header: Any) -> Any:
        """All tracks as lang2segtrack/TrackArray."""
        return self._make(TRACKS, header=header, tracks=[self.track(track) for track in tracks])

    def instance_masks(self, result: FrameResult, header: Any) -> Any:
        """The mono16 image of the announced tracks' ids."""
        data, pixels = self._zeros((result.height, result.width), "<u2")
        paint_instances(pixels, result.announced)
        return self._image(pixels, data, "mono16", header)

    def label_info(self, labels: dict[int, str], header: Any) -> Any:
        """What the values of the instance image mean: class_id = track id, class_name = label."""
        kind = "vision_msgs/msg/VisionClass"
        classes = [self._make(kind, class_id=min(number, MAX_INSTANCE_ID), class_name=label) for number, label in sorted(labels.items())]
        return self._make(LABEL_INFO, header=header, class_map=classes, threshold=0.0)


class LabelBook:
    """Which label each id in the instance images has, while its track lives, seen or not."""

    def __init__(self) -> None:
        self.labels: dict[int, str] = {}
        self._told = False

    def update(self, result: FrameResult) -> bool:
        """Takes in a result; True when `labels` has changed, or is there for the first time."""
        known = self.labels | {track.id: track.label for track in result.announced if track.box is not None}
        known = {track_id: label for track_id, label in known.items() if track_id in result.by_id}
        changed = known != self.labels or not self._told
        self.labels, self._told = known, True
        return changed


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0
