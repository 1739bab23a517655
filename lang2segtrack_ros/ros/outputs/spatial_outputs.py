# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects in space on their topics. Works out nothing that nobody listens to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.depth import DepthSource, RegisteredDepth
from lang2segtrack_ros.ros.outputs import spatial_messages
from lang2segtrack_ros.ros.outputs.spatial_messages import PlacedTrack
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

SPATIAL_TOPICS: tuple[tuple[str, str, str], ...] = (
    (
        "detections_3d",
        "vision_msgs/Detection3DArray",
        "Visible objects that depth shows: `results[0].pose` is the centre of the visible surface, `bbox` the box around it.",
    ),
    ("markers", "visualization_msgs/MarkerArray", "For RViz: a box, the id and the label of each of them."),
    ("objects_cloud", "sensor_msgs/PointCloud2", "Points of the objects: x, y, z, rgb, id; at most 12,000 for each."),
    ("/tf", "tf2_msgs/TFMessage", "With `publish_tf`: a frame at the centre of each object."),
)


CLEAR_AFTER_S = 1.0
"""Markers are taken back when there has been no depth for so long."""


class SpatialOutputs:
    """Publishers of `SPATIAL_TOPICS`.

    Args:
        node: whose publishers they are.
        publish_tf: whether to publish a TF frame for each object.
        tf_prefix: name of these frames, before the id.
        warn: called with a key and a sentence when there is no depth to be had.
        sent: called with the name of a topic after each message.
    """

    def __init__(self, node: Node, publish_tf: bool, tf_prefix: str, warn: Callable[[str, str], None], sent: Callable[[str], None]) -> None:
        self._node = node
        self._tf_prefix = tf_prefix
        self._warn = warn
        self._sent = sent
        reliable = QoSProfile(depth=5)
        self._detections = node.create_publisher(Detection3DArray, "detections_3d", reliable)
        self._markers = node.create_publisher(MarkerArray, "markers", reliable)
        self._cloud = node.create_publisher(PointCloud2, "objects_cloud", reliable)
        self._tf = node.create_publisher(TFMessage, "/tf", QoSProfile(depth=100)) if publish_tf else None
        self._publishers = [publisher for publisher in (self._detections, self._markers, self._cloud, self._tf) if publisher is not None]
        self.skipped: Counter[str] = Counter()
        self._shown = False  # whether markers are to be seen
        self._shown_at = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anybody listens, or TF is to be published."""
        return self._tf is not None or any(publisher.get_subscription_count() for publisher in self._publishers)

    def publish(self, header: Header, frame: Frame, result: FrameResult, source: DepthSource) -> None:
        """Measures the objects of a result and publishes them; nothing, but a count and a warning, when there is no depth for it."""
        try:
            if frame.depth is not None and frame.camera is not None:  # the policy has looked at it already
                seen = RegisteredDepth(frame.depth, frame.camera)
            else:
                seen = source.find(header, result.height, result.width)
        except ConversionError as error:
            self.skipped[error.reason] += 1
            self._warn(f"3-D {error.reason}", f"no 3-D output for this image ({error.reason}): {error}")
            if self._shown and time.monotonic() - self._shown_at > CLEAR_AFTER_S:
                self._show([], header)  # RViz would show the last ones for ever
            return
        objects = []
        for track in result.announced:
            if track.box is None:
                continue
            others = (other.mask for other in result.tracks if other is not track and other.box is not None)
            surface = measure(track.mask, track.box, seen.depth, seen.camera, others)
            if surface is None:
                self.skipped["object_without_depth"] += 1
            else:
                objects.append(PlacedTrack(track, surface))
        self._send(header, frame, objects)

    def _send(self, header: Header, frame: Frame, objects: Sequence[PlacedTrack]) -> None:
        messages: tuple[tuple[str, Any, Callable[[], Any]], ...] = (
            ("detections_3d", self._detections, lambda: spatial_messages.detections_3d_message(objects, header)),
            ("objects_cloud", self._cloud, lambda: spatial_messages.cloud_message(objects, frame.color, header)),
        )
        for name, publisher, make in messages:
            if publisher.get_subscription_count():
                publisher.publish(make())
                self._sent(name)
        self._show(objects, header)
        if self._tf is not None and objects:
            self._tf.publish(spatial_messages.transforms_message(objects, header, self._tf_prefix))
            self._sent("/tf")

    def _show(self, objects: Sequence[PlacedTrack], header: Header) -> None:
        if self._markers.get_subscription_count():
            self._markers.publish(spatial_messages.markers_message(objects, header))
            self._sent("markers")
            self._shown, self._shown_at = bool(objects), time.monotonic()

    def close(self) -> None:
        """Ends the publishers."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
