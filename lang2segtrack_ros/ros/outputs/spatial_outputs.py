# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of objects in 3-D. Nothing is computed without a subscriber."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.surface import MAX_SAMPLES, Surface, measure
from lang2segtrack_ros.io.image_messages import ConversionError
from lang2segtrack_ros.ros.inputs.depth import DepthSource, RegisteredDepth
from lang2segtrack_ros.ros.outputs import spatial_messages
from lang2segtrack_ros.ros.outputs.box_frames import BoxFrames, TargetFrame
from lang2segtrack_ros.ros.outputs.planner_outputs import PlannerOutputs
from lang2segtrack_ros.ros.outputs.spatial_messages import TrackSurface
from lang2segtrack_ros.ros.support.interfaces import DETECTIONS_3D, MARKERS, OBJECT_FRAMES, OBJECTS_CLOUD, Topic
from lang2segtrack_ros.ros.support.output_options import OutputOptions
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, Track

CLEAR_AFTER_S = 1.0
"""Markers are deleted after this long without depth, or without the transform that they need."""


class SpatialOutputs:
    """Publishers of `detections_3d`, `markers`, `objects_cloud`, the objects' frames on /tf, and what planners take.

    Args:
        node: node that owns the publishers.
        options: see the class.
        warn: called with a key and a sentence if an image has no depth, or no transform.
        on_sent: called with the name of the topic after each message.
        wake: called after a transform has arrived.

    Attributes:
        planner: publishers of what planners take.
        skipped: number of images and objects without 3-D output, by reason.
    """

    def __init__(
        self,
        node: Node,
        options: OutputOptions,
        warn: Callable[[str, str], None],
        on_sent: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        self._node = node
        self._options = options
        self._warn = warn
        self._on_sent = on_sent
        self._publishers: dict[Topic, Any] = {topic: topic.advertise(node) for topic in (DETECTIONS_3D, MARKERS, OBJECTS_CLOUD)}
        if options.publish_tf:
            self._publishers[OBJECT_FRAMES] = OBJECT_FRAMES.advertise(node)
        self.planner = PlannerOutputs(node, options, on_sent)
        self._frames = BoxFrames(node, options, wake)
        self.skipped: Counter[str] = Counter()
        self._markers_visible = False
        self._markers_sent_at = 0.0

    @property
    def are_watched(self) -> bool:
        """True if any topic except /tf has a subscriber, or a pose is needed."""
        return self._has_subscriber or self.planner.is_needed

    @property
    def _has_subscriber(self) -> bool:
        return any(item.get_subscription_count() for topic, item in self._publishers.items() if topic is not OBJECT_FRAMES)

    @property
    def _needs_target_frame(self) -> bool:
        """True if any output needs the target frame, or its vertical."""
        return self.planner.needs_target_frame or (self._frames.has_upright_boxes and self._is_watched(DETECTIONS_3D, MARKERS))

    def _is_watched(self, *topics: Topic) -> bool:
        return any(self._publishers[topic].get_subscription_count() for topic in topics)

    @property
    def is_needed(self) -> bool:
        """True if any topic has a subscriber, or TF is published, or a pose is needed."""
        return self._options.publish_tf or self.are_watched

    def match_transforms(self, group: CallbackGroup | None) -> None:
        """Subscribe /tf if an output needs it, and unsubscribe it otherwise. Call this periodically.

        Args:
            group: callback group of the subscriptions. None while the node is paused.
        """
        if group is None:  # also during the shutdown, when there is no graph to ask for subscribers
            self._frames.match(False, None)
            return
        self._frames.match(self._needs_target_frame, group)
        self.planner.warn_missing_package()

    def is_settled(self, header: Header) -> bool:
        """Return False if the transform for an image is needed and expected, but has not arrived."""
        return not self._needs_target_frame or self._frames.is_settled(header)

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
            self._skip(error)
            self._clear_old_markers(header)
            return
        self.planner.publish_cloud(registered, header)
        target_frame = self._find_target_frame(header)
        orient = self._frames.orientation(target_frame)
        objects = []
        for track in self._tracks_to_measure(result):
            surface = _measured(track, result, registered)
            if surface is None:
                self.skipped["object_without_depth"] += 1
            else:
                objects.append(TrackSurface(track, surface, orient) if orient is not None else TrackSurface(track, surface))
        self._send_all(header, frame, objects, has_boxes=orient is not None)
        if target_frame is not None:
            self.planner.publish(objects, frame, target_frame, lambda item: _measured(item.track, result, registered, float("inf")))

    def _tracks_to_measure(self, result: FrameResult) -> list[Track]:
        """Return the visible tracks that an output needs. A pose alone needs its own track only."""
        visible = [track for track in result.announced if track.box is not None]
        if self._has_subscriber or self._options.publish_tf or self.planner.needs_boxes:
            return visible
        ids = self.planner.tracks_with_pose
        return [track for track in visible if track.id in ids]

    def _find_target_frame(self, header: Header) -> TargetFrame | None:
        """Return the target frame at the time of an image. Without its transform, count and warn, and return None."""
        if not self._needs_target_frame:
            return None
        try:
            return self._frames.find(header)
        except ConversionError as error:
            self._skip(error)
            return None

    def _skip(self, error: ConversionError) -> None:
        self.skipped[error.reason] += 1
        self._warn(f"3-D {error.reason}", f"no 3-D output for this image ({error.reason}): {error}")

    def _send_all(self, header: Header, frame: Frame, objects: Sequence[TrackSurface], has_boxes: bool) -> None:
        """Publish the outputs in the camera's frame. Without boxes, leave out those that hold boxes."""
        messages: tuple[tuple[Topic, Callable[[], Any]], ...] = (
            (DETECTIONS_3D, lambda: spatial_messages.detections_3d_message(objects, header)),
            (OBJECTS_CLOUD, lambda: spatial_messages.cloud_message(objects, frame.color, header)),
        )
        for topic, make in messages:
            if self._publishers[topic].get_subscription_count() and (has_boxes or topic is OBJECTS_CLOUD):
                self._send(topic, make())
        if has_boxes:
            self._send_markers(objects, header)
        else:
            self._clear_old_markers(header)
        if self._options.publish_tf and objects:
            self._send(OBJECT_FRAMES, spatial_messages.transforms_message(objects, header, self._options.tf_prefix))

    def _clear_old_markers(self, header: Header) -> None:
        """Delete the markers after some time without new ones. RViz would show the last ones forever."""
        if self._markers_visible and time.monotonic() - self._markers_sent_at > CLEAR_AFTER_S:
            self._send_markers([], header)

    def _send_markers(self, objects: Sequence[TrackSurface], header: Header) -> None:
        if self._publishers[MARKERS].get_subscription_count():
            self._send(MARKERS, spatial_messages.markers_message(objects, header))
            self._markers_visible, self._markers_sent_at = bool(objects), time.monotonic()

    def _send(self, topic: Topic, message: Any) -> None:
        self._publishers[topic].publish(message)
        self._on_sent(topic.name)

    def close(self) -> None:
        """Destroy the publishers and the subscriptions of transforms."""
        self._frames.match(False, None)
        self.planner.close()
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)


def _measured(track: Track, result: FrameResult, registered: RegisteredDepth, max_samples: float = MAX_SAMPLES) -> Surface | None:
    """Return the visible surface of a visible track, or None if it has too little depth."""
    assert track.box is not None
    others = (other.mask for other in result.tracks if other is not track and other.box is not None)
    return measure(track.mask, track.box, registered.depth, registered.camera, others, max_samples)
