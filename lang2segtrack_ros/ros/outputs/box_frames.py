# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The frame and the orientation of 3-D outputs: `target_frame`, `box_orientation`, and the transforms that they need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_msgs.msg import Header

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.oriented_box import OrientedBox, camera_box, free_box, gravity_box
from lang2segtrack_ros.geometry.surface import Surface
from lang2segtrack_ros.io.image_messages import ConversionError, stamp_ns
from lang2segtrack_ros.ros.inputs.transform_history import LATE, NO_TRANSFORM, TransformHistory
from lang2segtrack_ros.ros.support.output_options import OutputOptions


@dataclass(frozen=True, eq=False)
class TargetFrame:
    """The target frame at the time of an image.

    Attributes:
        motion: transform from the camera's optical frame to the target frame.
        header: stamp of the image, and the target frame.
    """

    motion: RigidTransform
    header: Header


class BoxFrames:
    """Transforms for the outputs of a node. /tf is subscribed only while an output needs it.

    Args:
        node: node that owns the subscriptions.
        options: see the class.
        changed: called after each transform.
    """

    def __init__(self, node: Node, options: OutputOptions, changed: Callable[[], None]) -> None:
        self._node, self._options, self._changed = node, options, changed
        self._transforms: TransformHistory | None = None

    @property
    def has_upright_boxes(self) -> bool:
        """True if boxes stand upright, so that each needs the target frame."""
        return self._options.box_orientation == "gravity"

    def match(self, is_needed: bool, group: CallbackGroup | None) -> None:
        """Subscribe or unsubscribe transforms. Call this periodically.

        Args:
            is_needed: True if an output needs the target frame.
            group: callback group of the subscriptions. None while the node is paused.
        """
        is_wanted = bool(self._options.target_frame) and is_needed and group is not None
        if is_wanted and self._transforms is None and group is not None:
            self._transforms = TransformHistory(self._node, group, self._changed)
        elif not is_wanted and self._transforms is not None:
            self._transforms.close()
            self._transforms = None

    def find(self, header: Header) -> TargetFrame:
        """Return the target frame at the time of an image.

        Args:
            header: header of the image.

        Raises:
            ConversionError: see `TransformHistory.motion`; without subscription `no_transform`.
        """
        target = self._options.target_frame
        if not target or target == header.frame_id.lstrip("/"):
            return TargetFrame(RigidTransform.identity(), header)
        transforms = self._transforms
        if transforms is None:
            raise ConversionError(NO_TRANSFORM, "the node has only just subscribed /tf for this output")
        motion = transforms.motion(header.frame_id, target, stamp_ns(header.stamp))
        return TargetFrame(motion, Header(stamp=header.stamp, frame_id=target))

    def is_settled(self, header: Header) -> bool:
        """Return False if the transform of an image has not arrived, but is expected."""
        try:
            self.find(header)
        except ConversionError as error:
            return error.reason != LATE
        return True

    def orientation(self, target_frame: TargetFrame | None) -> Callable[[Surface], OrientedBox] | None:
        """Return the function that fits boxes, or None if it needs a target frame that is not known.

        Args:
            target_frame: the target frame, None if its transform is missing.
        """
        if self._options.box_orientation == "free":
            return free_box
        if not self.has_upright_boxes:
            return camera_box
        if target_frame is None:
            return None
        return partial(gravity_box, up=target_frame.motion.rotation.T @ np.array([0.0, 0.0, 1.0]))
