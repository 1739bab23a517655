# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a viewer shows: track_node's overlay, and the camera's own image while there is none. Subscribes only while somebody looks."""

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

SILENT_S = 1.5
"""After this long without an overlay the camera's image is shown."""
OVERLAY, CAMERA = "overlay", "camera"


class LiveView:
    """Images for a viewer.

    Args:
        node: whose subscriptions they are.
        group: their callback group.
        wanted: whether an image that comes now would be shown; the others are not converted.
        show: called with an RGB uint8 [H, W, 3] image, and "overlay" or "camera".
    """

    def __init__(
        self, node: Node, group: CallbackGroup, wanted: Callable[[], bool], show: Callable[[NDArray[np.uint8], str], None]
    ) -> None:
        self._node = node
        self._group = group
        self._wanted = wanted
        self._show = show
        self._overlay: QosMatchingSubscription | None = None
        self._camera: QosMatchingSubscription | None = None
        self.skipped: Counter[str] = Counter()

    def follow(self, watched: bool) -> None:
        """Subscribes what is needed now; to be called a few times a second.

        Args:
            watched: whether anybody looks at all.
        """
        if watched and self._overlay is None:
            self._overlay = QosMatchingSubscription(self._node, Image, "overlay", lambda msg: self._take(msg, OVERLAY), self._group)
        bare = watched and self._overlay is not None and self._overlay.silent_s > SILENT_S
        if bare and self._camera is None:
            self._camera = QosMatchingSubscription(self._node, Image, "color/image_raw", lambda msg: self._take(msg, CAMERA), self._group)
        if not watched and self._overlay is not None:
            self._overlay.close()
            self._overlay = None
        if not bare and self._camera is not None:
            self._camera.close()
            self._camera = None
        for source in (self._overlay, self._camera):
            if source is not None:
                source.follow()

    @property
    def problem(self) -> str:
        """Why no image comes, empty when one does or nobody looks."""
        camera = self._camera  # which the executor's thread may take away meanwhile
        return f"no picture: {camera.silence_explained()}" if camera is not None and camera.silent_s > SILENT_S else ""

    def _take(self, msg: Image, source: str) -> None:
        if not self._wanted():
            return
        try:
            color = image_to_rgb(msg)
        except ConversionError as error:
            self.skipped[error.reason] += 1
            return
        self._show(color, source)

    def close(self) -> None:
        """Ends the subscriptions."""
        self.follow(False)
