# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms between frames: static ones permanently, moving ones for a short time.

tf2_ros is not used: it keeps the history of every moving frame, which is not needed here, and not every install includes it.
"""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.ros.support.interfaces import TF_INPUT, TF_STATIC


def rigid_transform(item: TransformStamped) -> RigidTransform:
    """Return the transform of points from the child frame to the parent. Raise ValueError for a quaternion of length zero."""
    q, t = item.transform.rotation, item.transform.translation
    return RigidTransform.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))


class StaticTransforms:
    """Transforms from /tf_static.

    Args:
        node: node that owns the subscription.
        group: callback group of the subscription.
    """

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self._node = node
        self._parents: dict[str, tuple[str, RigidTransform]] = {}
        self._subscription = TF_STATIC.subscribe(node, self.add, group)

    def add(self, msg: TFMessage) -> None:
        """Store transforms. A later transform of a frame replaces the earlier one. Skip a quaternion of length zero with a warning."""
        for item in msg.transforms:
            try:
                motion = rigid_transform(item)
            except ValueError as error:
                self._node.get_logger().warning(f"skipped the transform of {item.child_frame_id} in {item.header.frame_id}: {error}")
                continue
            self._parents[item.child_frame_id.lstrip("/")] = (item.header.frame_id.lstrip("/"), motion)

    def motion(self, source: str, target: str) -> RigidTransform | None:
        """Return the transform of points from frame `source` to frame `target`, or None if the received transforms do not connect them."""
        ups, downs = self._to_ancestors(source.lstrip("/")), self._to_ancestors(target.lstrip("/"))
        common = next((name for name in ups if name in downs), None)
        return downs[common].inverse().after(ups[common]) if common is not None else None

    def _to_ancestors(self, name: str) -> dict[str, RigidTransform]:
        """Return the transforms from a frame to itself, its parent, the parent of its parent, and so on."""
        found = {name: RigidTransform.identity()}
        motion = found[name]
        parents = dict(self._parents)
        while name in parents and parents[name][0] not in found:  # a loop of frames has no root
            name, step = parents[name]
            motion = step.after(motion)
            found[name] = motion
        return found

    def close(self) -> None:
        """Destroy the subscription."""
        self._node.destroy_subscription(self._subscription)


class Transforms(StaticTransforms):
    """Latest transforms from /tf_static and /tf, without history. Close the object as soon as the transform was used.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.
        changed: called after each message.
    """

    def __init__(self, node: Node, group: CallbackGroup, changed: Callable[[], None]) -> None:
        self._changed = changed
        super().__init__(node, group)
        self._moving = TF_INPUT.subscribe(node, self.add, group)

    def add(self, msg: TFMessage) -> None:
        """Store transforms as `StaticTransforms.add` does, then call `changed`."""
        super().add(msg)
        self._changed()

    def close(self) -> None:
        """Destroy the subscriptions."""
        self._node.destroy_subscription(self._moving)
        super().close()
