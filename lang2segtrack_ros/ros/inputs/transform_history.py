# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames at the time of an image, from /tf_static and the last seconds of /tf.

tf2_ros is not used: there is no wheel of it, and its Python buffer waits by polling.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.motion_history import MotionHistory
from lang2segtrack_ros.io.image_messages import ConversionError, stamp_ns
from lang2segtrack_ros.ros.inputs.transforms import rigid_transform
from lang2segtrack_ros.ros.support.interfaces import TF_INPUT, TF_STATIC

NO_TRANSFORM, LATE, TOO_OLD = "no_transform", "late_transform", "transform_too_old"


class TransformHistory:
    """Subscriber of /tf_static and /tf.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.
        changed: called after each message.
    """

    def __init__(self, node: Node, group: CallbackGroup, changed: Callable[[], None]) -> None:
        self._node, self._changed = node, changed
        self._edges: dict[str, tuple[str, RigidTransform | MotionHistory]] = {}  # frame -> its parent, and its pose there
        self._lock = threading.Lock()
        self._static = TF_STATIC.subscribe(node, lambda msg: self._add(msg, is_static=True), group)
        self._moving = TF_INPUT.subscribe(node, lambda msg: self._add(msg, is_static=False), group)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in (self._static, self._moving):
            self._node.destroy_subscription(subscription)

    def _add(self, msg: TFMessage, is_static: bool) -> None:
        for item in msg.transforms:
            try:
                pose = rigid_transform(item)
            except ValueError as error:
                self._node.get_logger().warning(f"skipped the transform of {item.child_frame_id} in {item.header.frame_id}: {error}")
                continue
            child, parent = item.child_frame_id.lstrip("/"), item.header.frame_id.lstrip("/")
            with self._lock:
                if is_static:
                    self._edges[child] = (parent, pose)
                    continue
                kept = self._edges.get(child)
                if kept is None or kept[0] != parent or not isinstance(kept[1], MotionHistory):
                    kept = self._edges[child] = (parent, MotionHistory())
                assert isinstance(kept[1], MotionHistory)
                kept[1].add(stamp_ns(item.header.stamp), pose)
        self._changed()

    def motion(self, source: str, target: str, at_ns: int) -> RigidTransform:
        """Return the transform of points from frame `source` to frame `target` at a time.

        Args:
            source: name of a frame.
            target: name of a frame.
            at_ns: stamp in nanoseconds.

        Raises:
            ConversionError: `no_transform` if the frames are not connected, `late_transform` if a transform of this time may still arrive,
                `transform_too_old` if it was already forgotten, or its publisher began later.
        """
        source, target = source.lstrip("/"), target.lstrip("/")
        with self._lock:
            ups, downs = self._ancestors(source), self._ancestors(target)
            common = next((name for name in ups if name in downs), None)
            if common is None:
                raise ConversionError(
                    NO_TRANSFORM,
                    f"neither /tf nor /tf_static connects {source or 'the frame of the image, which is empty,'} and {target}: publish the "
                    "camera's transform, or correct target_frame",
                )
            return self._to(common, target, at_ns).inverse().after(self._to(common, source, at_ns))

    def _ancestors(self, name: str) -> list[str]:
        found = [name]
        while name in self._edges and self._edges[name][0] not in found:  # a loop of frames has no root
            name = self._edges[name][0]
            found.append(name)
        return found

    def _to(self, ancestor: str, name: str, at_ns: int) -> RigidTransform:
        """Return the transform of points from a frame to one of its ancestors."""
        motion = RigidTransform.identity()
        while name != ancestor:
            parent, pose = self._edges[name]
            if isinstance(pose, MotionHistory):
                if at_ns > pose.newest_ns:
                    behind = (at_ns - pose.newest_ns) / 1e6
                    raise ConversionError(
                        LATE,
                        f"the last transform of {name} in {parent} is {behind:.0f} ms older than the image: raise depth_wait_s, or check "
                        "the publisher's rate and clock",
                    )
                if at_ns < pose.oldest_ns:
                    ahead = (pose.oldest_ns - at_ns) / 1e6
                    raise ConversionError(
                        TOO_OLD, f"the oldest transform of {name} in {parent} is {ahead:.0f} ms newer than the image: check the clocks"
                    )
                pose = pose.at(at_ns)
            motion, name = pose.after(motion), parent
        return motion
