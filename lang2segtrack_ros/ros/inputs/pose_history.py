# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""History of the transforms on /tf and /tf_static."""

from __future__ import annotations

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from lang2segtrack_ros.geometry.transform_buffer import TransformBuffer
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.ros.inputs.transforms import rigid_transform
from lang2segtrack_ros.ros.support.interfaces import TF_INPUT, TF_STATIC


class PoseHistory(TransformBuffer):
    """Subscriber of /tf and /tf_static.

    tf2_ros is not used: not every install includes it, and it interpolates across jumps.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.

    Attributes:
        skipped: number of transforms that are no rigid transforms.
    """

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        super().__init__()
        self.skipped = 0
        self._node = node
        self._subscriptions = [
            TF_INPUT.subscribe(node, lambda msg: self._receive(msg, False), group),
            TF_STATIC.subscribe(node, lambda msg: self._receive(msg, True), group),
        ]

    def _receive(self, msg: TFMessage, is_static: bool) -> None:
        for item in msg.transforms:
            try:
                motion = rigid_transform(item)
            except ValueError:
                self.skipped += 1
                continue
            if not (np.isfinite(motion.rotation).all() and np.isfinite(motion.translation).all()):
                self.skipped += 1
                continue
            stamp = stamp_ns(item.header.stamp)
            self.add(item.header.frame_id.lstrip("/"), item.child_frame_id.lstrip("/"), stamp, motion, is_static)

    def close(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
