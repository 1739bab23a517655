# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A perfect tracker of a room: sightings from the true masks, measured in the noisy depth as track_node measures them."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.object_map.objects import Sighting, TrackReference, View
from lang2segtrack_ros.toyworld.room_scene import RoomFrame, RoomScene

MIN_VISIBLE = 0.4
"""A tracker shows an item of which at least this fraction is visible."""
MIN_PIXELS = 40


def true_view(scene: RoomScene, frame: RoomFrame, source: str = "", start_ns: int = 0) -> View:
    """Return the view of a frame, with its true pose.

    Args:
        scene: the scene.
        frame: a frame of it.
        source: name of the tracker.
        start_ns: stamp of the time 0, nanoseconds.
    """
    return View(start_ns + round(frame.seconds * 1e9), frame.pose, scene.camera, frame.depth_m, source)


def true_sightings(scene: RoomScene, frame: RoomFrame, source: str = "", first_track: int = 0) -> list[Sighting]:
    """Return what a perfect tracker shows on a frame.

    Args:
        scene: the scene.
        frame: a frame of it.
        source: name of the tracker.
        first_track: added to the number of each item; another number stands for a tracker that has changed its ids.
    """
    sightings = []
    for number, truth in frame.bodies.items():
        if truth.box is None or truth.fraction < MIN_VISIBLE or truth.visible < MIN_PIXELS:
            continue
        mask = frame.instances == number
        others = [frame.instances == other for other in frame.bodies if other != number]
        surface = measure(mask, truth.box, frame.depth_m, scene.camera, others)
        if surface is None:
            continue
        x1, y1, x2, y2 = truth.box
        is_cut = x1 <= 0 or y1 <= 0 or x2 >= scene.camera.width or y2 >= scene.camera.height
        sightings.append(
            Sighting(
                TrackReference(source, first_track + number),
                truth.label,
                np.array(surface.center),
                surface.size,
                0.9,
                appearance_of(frame.color, mask, truth.box),
                is_cut,
            )
        )
    return sightings
