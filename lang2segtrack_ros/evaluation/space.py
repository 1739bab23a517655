# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""3-D accuracy of a tracked object: center and extent of its surface, measured from its mask and the noisy depth image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.toyworld.body import BodyTruth
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.results import Track

MIN_VISIBLE_PIXELS = 150
MIN_VISIBLE_FRACTION = 0.97
"""Minimum visible fraction. Below it, center and extent of the visible part differ from the ground truth."""
CENTER_TOLERANCE_M, CENTER_TOLERANCE = 0.02, 0.02
EXTENT_TOLERANCE = 0.15


def is_whole(body: BodyTruth) -> bool:
    """Return True when the object is visible enough for a measurement."""
    return body.box is not None and body.fraction >= MIN_VISIBLE_FRACTION and body.visible >= MIN_VISIBLE_PIXELS


def errors(track: Track | None, tracks: Iterable[Track], body: BodyTruth, shot: SceneFrame, scene: Scene) -> tuple[float, float]:
    """Return the errors of a track's center and extent.

    Args:
        track: track of the object; None for no track.
        tracks: all tracks of the frame.
        body: ground truth of the object.
        shot: rendered frame.
        scene: scene of the frame.

    Returns:
        The center error divided by the tolerance (2 cm or 2 % of the distance), and the larger relative error of width and height.
        Both are infinite for an object without a track or without a measurement.
    """
    if track is None or track.box is None:
        return float("inf"), float("inf")
    others = (other.mask for other in tracks if other is not track and other.box is not None)
    surface = measure(track.mask, track.box, shot.depth_m, scene.camera, others)
    if surface is None:
        return float("inf"), float("inf")
    distance = float(np.linalg.norm(np.array(surface.box_center) - body.center))
    extent = float(np.abs(np.array(surface.size[:2]) / body.extent[:2] - 1).max())
    return distance / max(CENTER_TOLERANCE_M, CENTER_TOLERANCE * body.center[2]), extent
