# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images for a viewer: track_node's overlay, or the camera's image while no overlay arrives. Subscribes only while somebody watches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import Image

from lang2segtrack_ros.io.image_messages import ConversionError, image_to_rgb
from lang2segtrack_ros.ros.inputs.subscription import QosMatchingSubscription
from lang2segtrack_ros.ros.support import interfaces

SILENT_S = 1.5
"""The camera's image is shown after this long without an overlay."""
OVERLAY, CAMERA = "overlay", "camera"


class LiveView:
    """Source of images for a viewer.

    Args:
        node: node that owns the subscriptions.
        group: callback group of the subscriptions.
        is_due: returns True if an image that arrives now would be shown. Other images are not converted.
        show: called with an RGB uint8 [H, W, 3] image, and "overlay" or "camera".

    Attributes:
        skipped: number of images that could not be converted, by reason.
    """

    def __init__(
        self, node: Node, group: CallbackGroup, is_due: Callable[[], bool], show: Callable[[NDArray[np.uint8], str], None]
    ) -> None:
        self._node = node
        self._group = group
        self._is_due = is_due
        self._show = show
        self._overlay: QosMatchingSubscription | None = None
        self._camera: QosMatchingSubscription | None = None
        self.skipped: Counter[str] = Counter()

    def update(self, watched: bool) -> None:
        """Create and destroy subscriptions as needed. Call this a few times a second.

        Args:
            watched: True if at least one viewer watches.
        """
        if watched and self._overlay is None:
            self._overlay = QosMatchingSubscription(self._node, interfaces.OVERLAY, lambda msg: self._on_image(msg, OVERLAY), self._group)
        no_overlay = watched and self._overlay is not None and self._overlay.silent_s > SILENT_S
        if no_overlay and self._camera is None:
            self._camera = QosMatchingSubscription(self._node, interfaces.COLOR_IMAGE, lambda msg: self._on_image(msg, CAMERA), self._group)
        if not watched and self._overlay is not None:
            self._overlay.close()
            self._overlay = None
        if not no_overlay and self._camera is not None:
            self._camera.close()
            self._camera = None
        for source in (self._overlay, self._camera):
            if source is not None:
                source.match_publishers()

    @property
    def problem(self) -> str:
        """Reason why no image arrives. Empty if images arrive or nobody watches."""
        camera = self._camera  # the executor's thread may reset it meanwhile
        return f"no image: {camera.explain_silence()}" if camera is not None and camera.silent_s > SILENT_S else ""

    def _on_image(self, msg: Image, source: str) -> None:
        if not self._is_due():
            return
        try:
            color = image_to_rgb(msg)
        except ConversionError as error:
            self.skipped[error.reason] += 1
            return
        self._show(color, source)

    def close(self) -> None:
        """Destroy the subscriptions."""
        self.update(False)
