# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The objects under a pixel of the newest image, from the topic `tracks`. Subscribes only while somebody watches."""

from __future__ import annotations

import time

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from lang2segtrack.msg import Track, TrackArray
from lang2segtrack.srv import AddPointPrompt
from lang2segtrack_ros.ros.services.tracker_client import ViewerPrompt
from lang2segtrack_ros.ros.support.interfaces import TRACKS
from lang2segtrack_ros.types.prompts import PointPrompt
from lang2segtrack_ros.types.rle import Rle

STALE_S = 1.5
"""Older tracks are ignored, because the objects may have moved."""


class TrackedPixels:
    """Subscriber of `tracks` that finds the object under a pixel.

    Args:
        node: node that owns the subscription.
        group: callback group of the subscription.
    """

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        self._node = node
        self._group = group
        self._subscription: object | None = None
        self._newest: tuple[float, TrackArray] | None = None

    def update(self, watched: bool) -> None:
        """Create and destroy the subscription as needed. Call this a few times a second.

        Args:
            watched: True if at least one viewer watches.
        """
        if watched and self._subscription is None:
            self._subscription = TRACKS.subscribe(self._node, self._on_tracks, self._group)
        elif not watched and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._newest = None

    def _on_tracks(self, msg: TrackArray) -> None:
        self._newest = time.monotonic(), msg

    def response(self, prompt: ViewerPrompt) -> AddPointPrompt.Response | None:
        """Return the response to a tap on an object that is tracked already: its id. None for prompts that track_node must answer.

        A tap with a label names an object without one, so track_node must answer it.

        Args:
            prompt: the prompt of a viewer.
        """
        if not isinstance(prompt, PointPrompt) or prompt.track_id is not None:
            return None
        track = self.at(*prompt.points[0])
        if track is None or (prompt.label and not track.label):
            return None
        name = f" ({track.label})" if track.label else ""
        return AddPointPrompt.Response(success=True, message=f"that is track {track.id}{name}", track_ids=[track.id])

    def at(self, x: float, y: float) -> Track | None:
        """Return the smallest object whose mask has a pixel, or None.

        Args:
            x: column in pixels; the center of the first pixel is at 0.
            y: row in pixels.
        """
        newest = self._newest
        if newest is None or time.monotonic() - newest[0] > STALE_S:
            return None
        column, row = round(x), round(y)
        covering = [
            track
            for track in newest[1].tracks
            if 0 <= column < track.mask.width
            and 0 <= row < track.mask.height
            and Rle(track.mask.height, track.mask.width, track.mask.counts).decode()[row, column]
        ]
        return min(covering, key=lambda track: track.bbox.size_x * track.bbox.size_y, default=None)
