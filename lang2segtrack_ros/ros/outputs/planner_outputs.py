# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Publishers of what planners take: the organized cloud, the pose of the target, object clouds and collision objects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.surface import Surface
from lang2segtrack_ros.ros.inputs.depth import RegisteredDepth
from lang2segtrack_ros.ros.outputs import planner_messages
from lang2segtrack_ros.ros.outputs.box_frames import TargetFrame
from lang2segtrack_ros.ros.outputs.collision_scene import CollisionScene
from lang2segtrack_ros.ros.outputs.spatial_messages import TrackSurface
from lang2segtrack_ros.ros.support.interfaces import COLLISION_OBJECTS, OBJECT_CLOUDS, SEMANTIC_CLOUD, TARGET_POSE, Topic
from lang2segtrack_ros.ros.support.output_options import OutputOptions
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult, TrackStatus

TOPICS = (SEMANTIC_CLOUD, TARGET_POSE, OBJECT_CLOUDS, COLLISION_OBJECTS)


class PlannerOutputs:
    """Publishers of `semantic_cloud`, `target_pose`, `object_clouds` and `collision_objects`.

    Args:
        node: node that owns the publishers.
        options: see the class.
        on_sent: called with the name of the topic after each message.

    Attributes:
        target: id of the track that `target_pose` follows, 0 for none.
        wanted: ids of further tracks whose poses are needed, although `target_pose` does not publish them.
        poses: latest pose of each of these tracks and of the target.
    """

    def __init__(self, node: Node, options: OutputOptions, on_sent: Callable[[str], None]) -> None:
        self._node, self._options, self._on_sent = node, options, on_sent
        self._publishers: dict[Topic, Any] = {topic: topic.advertise(node) for topic in TOPICS}
        self._scene, self._scene_lock = CollisionScene(), threading.Lock()
        self._scene_readers = 0
        self._was_asked_without_package = False
        self.target = 0
        self.wanted: frozenset[int] = frozenset()
        self.poses: dict[int, PoseStamped] = {}

    def is_watched(self, *topics: Topic) -> bool:
        """Return True if any of these topics has a subscriber. Without topics, any of all."""
        publishers = (self._publishers[topic] for topic in topics or TOPICS)
        return any(publisher is not None and publisher.get_subscription_count() for publisher in publishers)

    @property
    def needs_boxes(self) -> bool:
        """True if each object needs its surface."""
        return self.is_watched(OBJECT_CLOUDS, COLLISION_OBJECTS)

    @property
    def tracks_with_pose(self) -> frozenset[int]:
        """Ids of the tracks whose pose is needed."""
        return self.wanted | ({self.target} if self.target and self.is_watched(TARGET_POSE) else frozenset())

    @property
    def needs_target_frame(self) -> bool:
        """True if any output in the target frame is needed."""
        return self.needs_boxes or bool(self.tracks_with_pose)

    @property
    def is_needed(self) -> bool:
        """True if anything is to be published or measured."""
        return self.is_watched(SEMANTIC_CLOUD) or self.needs_target_frame

    def warn_missing_package(self) -> None:
        """Log once if somebody subscribes `collision_objects`, but moveit_msgs is not installed. Call this periodically."""
        if self._publishers[COLLISION_OBJECTS] is None and not self._was_asked_without_package:
            name = self._node.resolve_topic_name(COLLISION_OBJECTS.name)
            if self._node.count_subscribers(name):
                self._was_asked_without_package = True
                self._node.get_logger().warning(
                    f"{name} has a subscriber, but the node cannot publish it: the package moveit_msgs is not installed"
                )

    def forget_ended(self, result: FrameResult, header: Header) -> None:
        """Forget tracks that ended: the target, poses, and boxes in the planning scene. Call this with every result.

        Args:
            result: result of an image.
            header: header of the image.
        """
        if not self.target and not self.poses and self._scene.is_empty:
            return
        existing = {track.id for track in result.tracks if track.state is not TrackStatus.REMOVED}
        if self.target and self.target not in existing:
            self._node.get_logger().warning(f"track {self.target}, the target of {TARGET_POSE.name}, has ended: call set_target again")
            self.target = 0
        self.poses = {track_id: pose for track_id, pose in self.poses.items() if track_id in existing}
        if self.is_watched(COLLISION_OBJECTS):
            self._remove_boxes(existing, header)
        else:
            with self._scene_lock:  # the next subscriber knows no box
                self._scene.forget()
                self._scene_readers = 0

    def publish_cloud(self, registered: RegisteredDepth, header: Header) -> None:
        """Publish the organized cloud if it has a subscriber.

        Args:
            registered: depth of the image.
            header: header of the image.
        """
        if self.is_watched(SEMANTIC_CLOUD):
            self._send(SEMANTIC_CLOUD, planner_messages.organized_cloud_message(registered, header))

    def publish(
        self,
        objects: Sequence[TrackSurface],
        frame: Frame,
        target_frame: TargetFrame,
        measure_fully: Callable[[TrackSurface], Surface | None],
    ) -> None:
        """Publish poses, object clouds and collision objects.

        Args:
            objects: measured objects of the image.
            frame: the image.
            target_frame: target frame at the time of the image.
            measure_fully: measures an object once more, with each pixel of the depth image.
        """
        motion, header = target_frame.motion, target_frame.header
        for item in objects:
            if item.track.id in self.tracks_with_pose:
                pose = planner_messages.pose_message(item, motion, header)
                self.poses = {**self.poses, item.track.id: pose}  # a new one, because other threads read the old one
                if item.track.id == self.target and self.is_watched(TARGET_POSE):
                    self._send(TARGET_POSE, pose)
        if self.is_watched(OBJECT_CLOUDS):
            detailed = objects
            if self._options.object_clouds_resolution == "full":
                detailed = [TrackSurface(item.track, measure_fully(item) or item.surface, item.orient) for item in objects]
            self._send(OBJECT_CLOUDS, planner_messages.object_clouds_message(detailed, frame.color, motion, header))
        self._publish_scene(objects, target_frame)

    def _publish_scene(self, objects: Sequence[TrackSurface], target_frame: TargetFrame) -> None:
        publisher = self._publishers[COLLISION_OBJECTS]
        readers = publisher.get_subscription_count() if publisher is not None else 0
        with self._scene_lock:
            if readers > self._scene_readers:  # the new one knows no box yet
                self._scene.forget()
            self._scene_readers = readers
            if not readers:
                return
            tracks = {item.track.id: item.track for item in objects}
            boxes = {item.track.id: item.box.moved(target_frame.motion) for item in objects}
            for track_id in self._scene.changed(boxes):
                name, label = f"{self._options.tf_prefix}{track_id}", tracks[track_id].label
                self._send(COLLISION_OBJECTS, planner_messages.collision_object_message(name, boxes[track_id], target_frame.header, label))

    def _remove_boxes(self, existing: Collection[int], header: Header) -> None:
        with self._scene_lock:
            for track_id in self._scene.removed(existing):
                name = f"{self._options.tf_prefix}{track_id}"
                self._send(COLLISION_OBJECTS, planner_messages.collision_object_message(name, None, header))

    def _send(self, topic: Topic, message: Any) -> None:
        self._publishers[topic].publish(message)
        self._on_sent(topic.name)

    def close(self) -> None:
        """Remove the boxes from the planning scene, and destroy the publishers."""
        if self._node.context.ok():
            self._remove_boxes((), Header())
        for publisher in self._publishers.values():
            if publisher is not None:
                self._node.destroy_publisher(publisher)
