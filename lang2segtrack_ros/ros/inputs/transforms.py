# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How frames stand to each other: those that never move, such as a camera's lenses, and for a moment those that do.

tf2_ros would keep the history of everything that moves, which nobody needs here, and does not come with every install.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.geometry.alignment import Rigid


class StaticTransforms:
    """Listens to /tf_static."""

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self._node = node
        self._parents: dict[str, tuple[str, Rigid]] = {}
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._subscription = node.create_subscription(TFMessage, "/tf_static", self.add, latched, callback_group=group)

    def add(self, msg: TFMessage) -> None:
        """Takes transforms; later ones of a frame replace earlier ones. A quaternion without length is left out."""
        for item in msg.transforms:
            q, t = item.transform.rotation, item.transform.translation
            try:
                motion = Rigid.from_quaternion((q.x, q.y, q.z, q.w), (t.x, t.y, t.z))
            except ValueError as error:
                self._node.get_logger().warning(f"transform of {item.child_frame_id} in {item.header.frame_id}: {error}; left out")
                continue
            self._parents[item.child_frame_id.lstrip("/")] = (item.header.frame_id.lstrip("/"), motion)

    def motion(self, source: str, target: str) -> Rigid | None:
        """What brings points in frame `source` to frame `target`; None when nothing heard connects them."""
        ups, downs = self._to_ancestors(source.lstrip("/")), self._to_ancestors(target.lstrip("/"))
        common = next((name for name in ups if name in downs), None)
        return downs[common].inverse().after(ups[common]) if common is not None else None

    def _to_ancestors(self, name: str) -> dict[str, Rigid]:
        """From a frame to itself, its parent, its parent's parent, ..."""
        found = {name: Rigid.identity()}
        motion = found[name]
        parents = dict(self._parents)
        while name in parents and parents[name][0] not in found:  # a loop has no top
            name, step = parents[name]
            motion = step.after(motion)
            found[name] = motion
        return found

    def close(self) -> None:
        """Ends the subscription."""
        self._node.destroy_subscription(self._subscription)


class Transforms(StaticTransforms):
    """Listens to /tf too and knows each frame as it was last told; to be kept no longer than that is what is wanted.

    Args:
        node, group: as for `StaticTransforms`.
        changed: called after each message.
    """

    def __init__(self, node: Node, group: CallbackGroup, changed: Callable[[], None]) -> None:
        self._changed = changed
        super().__init__(node, group)
        self._moving = node.create_subscription(TFMessage, "/tf", self.add, QoSProfile(depth=100), callback_group=group)

    def add(self, msg: TFMessage) -> None:
        """See `StaticTransforms.add`."""
        super().add(msg)
        self._changed()

    def close(self) -> None:
        """Ends the subscriptions."""
        self._node.destroy_subscription(self._moving)
        super().close()
