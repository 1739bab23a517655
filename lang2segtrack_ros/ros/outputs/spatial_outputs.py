# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of objects in 3-D. Nothing is computed without a subscriber."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.depth import DepthSource, RegisteredDepth
from lang2segtrack_ros.ros.outputs import spatial_messages
from lang2segtrack_ros.ros.outputs.spatial_messages import TrackSurface
from lang2segtrack_ros.ros.support.interfaces import DETECTIONS_3D, MARKERS, OBJECT_FRAMES, OBJECTS_CLOUD, Topic
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

CLEAR_AFTER_S = 1.0
"""Markers are deleted after this long without depth."""


class SpatialOutputs:
    """Publishers of `detections_3d`, `markers`, `objects_cloud` and the objects' frames on /tf.

    Args:
        node: node that owns the publishers.
        publish_tf: True publishes a TF frame for each object.
        tf_prefix: start of the name of these frames. The track id follows.
        warn: called with a key and a sentence if an image has no depth.
        on_sent: called with the name of the topic after each message.

    Attributes:
        skipped: number of images and objects without 3-D output, by reason.
    """

    def __init__(
        self, node: Node, publish_tf: bool, tf_prefix: str, warn: Callable[[str, str], None], on_sent: Callable[[str], None]
    ) -> None:
        self._node = node
        self._tf_prefix = tf_prefix
        self._warn = warn
        self._on_sent = on_sent
        self._publishers: dict[Topic, Any] = {topic: topic.advertise(node) for topic in (DETECTIONS_3D, MARKERS, OBJECTS_CLOUD)}
        self._publish_tf = publish_tf
        if publish_tf:
            self._publishers[OBJECT_FRAMES] = OBJECT_FRAMES.advertise(node)
        self.skipped: Counter[str] = Counter()
        self._markers_visible = False
        self._markers_sent_at = 0.0

    @property
    def are_watched(self) -> bool:
        """True if any topic except /tf has a subscriber."""
        return any(item.get_subscription_count() for topic, item in self._publishers.items() if topic is not OBJECT_FRAMES)

    @property
    def is_needed(self) -> bool:
        """True if any topic has a subscriber, or TF is published."""
        return self._publish_tf or self.are_watched

    def publish(self, header: Header, frame: Frame, result: FrameResult, source: DepthSource) -> None:
        """Measure the objects of a result and publish them. Without depth, count and warn instead.

        Args:
            header: header of the image.
            frame: the image. Its own depth is used if the policy has already read it.
            result: result of the image.
            source: source of the image's depth.
        """
        try:
            if frame.depth is not None and frame.camera is not None:
                registered = RegisteredDepth(frame.depth, frame.camera)
            else:
                registered = source.find(header, result.height, result.width)
        except ConversionError as error:
            self.skipped[error.reason] += 1
            self._warn(f"3-D {error.reason}", f"no 3-D output for this image ({error.reason}): {error}")
            if self._markers_visible and time.monotonic() - self._markers_sent_at > CLEAR_AFTER_S:
                self._send_markers([], header)  # RViz would show the last markers forever
            return
        objects = []
        for track in result.announced:
            if track.box is None:
                continue
            others = (other.mask for other in result.tracks if other is not track and other.box is not None)
            surface = measure(track.mask, track.box, registered.depth, registered.camera, others)
            if surface is None:
                self.skipped["object_without_depth"] += 1
            else:
                objects.append(TrackSurface(track, surface))
        self._send_all(header, frame, objects)

    def _send_all(self, header: Header, frame: Frame, objects: Sequence[TrackSurface]) -> None:
        messages: tuple[tuple[Topic, Callable[[], Any]], ...] = (
            (DETECTIONS_3D, lambda: spatial_messages.detections_3d_message(objects, header)),
            (OBJECTS_CLOUD, lambda: spatial_messages.cloud_message(objects, frame.color, header)),
        )
        for topic, make in messages:
            if self._publishers[topic].get_subscription_count():
                self._send(topic, make())
        self._send_markers(objects, header)
        if self._publish_tf and objects:
            self._send(OBJECT_FRAMES, spatial_messages.transforms_message(objects, header, self._tf_prefix))

    def _send_markers(self, objects: Sequence[TrackSurface], header: Header) -> None:
        if self._publishers[MARKERS].get_subscription_count():
            self._send(MARKERS, spatial_messages.markers_message(objects, header))
            self._markers_visible, self._markers_sent_at = bool(objects), time.monotonic()

    def _send(self, topic: Topic, message: Any) -> None:
        self._publishers[topic].publish(message)
        self._on_sent(topic.name)

    def close(self) -> None:
        """Destroy the publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
