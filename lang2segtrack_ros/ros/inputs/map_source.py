# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The inputs of the object map from one track_node: its objects, with the depth and the color of the same image."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray

from lang2segtrack.msg import Track, TrackArray
from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.io.image_messages import ConversionError, image_to_rgb, stamp_ns
from lang2segtrack_ros.object_map.objects import Sighting, TrackReference
from lang2segtrack_ros.ros.inputs.depth import DepthSource, RegisteredDepth
from lang2segtrack_ros.ros.inputs.stamp_cache import StampCache
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.support.interfaces import COLOR_IMAGE, DETECTIONS_3D, TRACKS, Topic
from lang2segtrack_ros.types.rle import Rle

CACHED = 30
MAX_WAITING = 60
SAME_NS = 1_000_000
QUALITY = 80


def in_namespace(topic: Topic, namespace: str) -> Topic:
    """Return the topic of a node in another namespace. An empty namespace is that of the own node."""
    return replace(topic, name=f"{namespace.rstrip('/')}/{topic.name}") if namespace else topic


@dataclass(frozen=True)
class SourceOptions:
    """Parameters of a source.

    Attributes:
        use_depth, use_color, depth_registration, depth_slop_s, max_rate, thumbnail_size: see the parameters of object_map_node.
    """

    use_depth: bool
    use_color: bool
    depth_registration: str
    depth_slop_s: float
    max_rate: float
    thumbnail_size: int


class MapSource:
    """Subscriber of the topics of one track_node and its camera.

    Args:
        node: node that owns the subscriptions.
        namespace: namespace of the track_node; empty for that of the node.
        groups: callback groups of results, and of images.
        options: parameters.
        skipped: number of skipped images and objects by reason, of all sources.

    Attributes:
        namespace: the namespace, as given.
        waiting: time.monotonic of arrival, and result, of those that are not processed yet, in the order of their arrival.
        received: number of results.
    """

    def __init__(
        self, node: Node, namespace: str, groups: tuple[CallbackGroup, CallbackGroup], options: SourceOptions, skipped: Counter[str]
    ) -> None:
        results, images = groups
        self.namespace = namespace
        self.waiting: deque[tuple[float, Detection3DArray]] = deque()
        self.received = 0
        self._options = options
        self._skipped = skipped
        self._newest_ns = 0
        self._tracks, self._colors = StampCache(CACHED), StampCache(CACHED)
        self._node = node
        self._subscriptions: list[Any] = [
            in_namespace(DETECTIONS_3D, namespace).subscribe(node, self._on_objects, results),
            in_namespace(TRACKS, namespace).subscribe(node, self._tracks.add, results),
        ]
        self._color = None
        if options.use_color:
            self._color = QosMatchingSubscription(node, in_namespace(COLOR_IMAGE, namespace), self._colors.add, images)
        self._depth = None
        if options.use_depth:
            prefix = f"{namespace.rstrip('/')}/" if namespace else ""
            slop: Callable[[], float] = lambda: options.depth_slop_s  # noqa: E731
            self._depth = DepthSource(node, images, "auto", options.depth_registration, slop, lambda: None, prefix=prefix)

    def match_publishers(self) -> None:
        """Match the publishers' QoS, see `QosMatchingSubscription.match_publishers`."""
        for source in (self._color, self._depth):
            if source is not None:
                source.match_publishers()

    def _on_objects(self, msg: Detection3DArray) -> None:
        self.received += 1
        stamp = stamp_ns(msg.header.stamp)
        if self._newest_ns - 5e9 < stamp < self._newest_ns + (1e9 - 1e6) / self._options.max_rate:
            return  # beyond max_rate
        self._newest_ns = stamp
        if self._depth is not None:
            self._depth.expect(msg.header)
        self.waiting.append((time.monotonic(), msg))
        while len(self.waiting) > MAX_WAITING:
            self.waiting.popleft()
            self._skipped["too_many_waiting"] += 1

    def is_settled(self, header: Header) -> bool:
        """Return True if depth and color of a result have arrived, or are not used. They come over other connections than the result.

        Args:
            header: header of the result.
        """
        has_depth = self._depth is None or self._depth.is_settled(header)
        return has_depth and (self._color is None or self._colors.nearest(header.stamp, SAME_NS / 1e9) is not None)

    def depth_of(self, header: Header) -> RegisteredDepth | None:
        """Return the depth of an image, or count the reason and return None.

        Args:
            header: header of the image.
        """
        tracks = self._tracks_of(header)
        if self._depth is None or tracks is None or not tracks.tracks:
            size = self._size_of(header)
        else:
            size = (tracks.tracks[0].mask.height, tracks.tracks[0].mask.width)
        if self._depth is None:
            return None
        if size is None:
            self._skipped["no_evidence_size_unknown"] += 1
            return None
        try:
            return self._depth.find(header, *size)
        except ConversionError as error:
            self._skipped[f"no_evidence_{error.reason}"] += 1
            return None

    def _size_of(self, header: Header) -> tuple[int, int] | None:
        """Return height and width of the color image without tracks: from the image, or from camera_info."""
        color = self._colors.nearest(header.stamp, 1.0)
        if color is not None:
            return color.height, color.width
        return None if self._depth is None else self._depth.camera_size

    def _tracks_of(self, header: Header) -> TrackArray | None:
        found = self._tracks.nearest(header.stamp, SAME_NS / 1e9)
        return found if isinstance(found, TrackArray) else None

    def sightings_of(self, msg: Detection3DArray) -> list[Sighting]:
        """Return the objects of a result. Skip and count those with a wrong id.

        Args:
            msg: the result.
        """
        tracks = self._tracks_of(msg.header)
        by_id = {track.id: track for track in tracks.tracks} if tracks is not None else {}
        color = self._color_of(msg.header) if msg.detections else None
        sightings = []
        for detection in msg.detections:
            if not detection.id.isdigit() or not detection.results:
                self._skipped["object_without_id"] += 1
                continue
            sightings.append(self._sighting(detection, by_id.get(int(detection.id)), color))
        return sightings

    def _color_of(self, header: Header) -> NDArray[np.uint8] | None:
        image = self._colors.nearest(header.stamp, SAME_NS / 1e9)
        if image is None:
            if self._color is not None:
                self._skipped["no_color"] += 1
            return None
        try:
            return image_to_rgb(image)
        except ConversionError as error:
            self._skipped[f"no_color_{error.reason}"] += 1
            return None

    def _sighting(self, detection: Detection3D, track: Track | None, color: NDArray[np.uint8] | None) -> Sighting:
        result, number = detection.results[0], int(detection.id)
        position, size = result.pose.pose.position, detection.bbox.size
        appearance, thumbnail, is_cut = None, b"", False
        if track is not None and track.mask.width:
            center = track.bbox.center.position
            x1, x2 = center.x - track.bbox.size_x / 2, center.x + track.bbox.size_x / 2
            y1, y2 = center.y - track.bbox.size_y / 2, center.y + track.bbox.size_y / 2
            is_cut = x1 < 1 or y1 < 1 or x2 > track.mask.width - 1 or y2 > track.mask.height - 1
            if color is not None and color.shape[:2] == (track.mask.height, track.mask.width):
                box = (max(x1, 0), max(y1, 0), min(x2, track.mask.width), min(y2, track.mask.height))
                appearance = appearance_of(color, Rle(track.mask.height, track.mask.width, track.mask.counts).decode())
                if not is_cut:
                    thumbnail = self._thumbnail(color, box)
        return Sighting(
            TrackReference(self.namespace, number),
            result.hypothesis.class_id,
            np.array([position.x, position.y, position.z]),
            (size.x, size.y, size.z),
            float(result.hypothesis.score),
            appearance,
            is_cut,
            thumbnail,
        )

    def _thumbnail(self, color: NDArray[np.uint8], box: tuple[float, float, float, float]) -> bytes:
        """Return a JPEG file of a box with a margin."""
        x1, y1, x2, y2 = box
        margin = 0.15 * max(x2 - x1, y2 - y1)
        height, width = color.shape[:2]
        rows = slice(max(0, int(y1 - margin)), min(height, int(y2 + margin) + 1))
        columns = slice(max(0, int(x1 - margin)), min(width, int(x2 + margin) + 1))
        part = color[rows, columns]
        if not part.size:
            return b""
        scale = min(1.0, self._options.thumbnail_size / max(part.shape[:2]))
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return jpeg.tobytes()

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for source in (self._color, self._depth):
            if source is not None:
                source.close()
