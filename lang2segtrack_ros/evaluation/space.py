# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Where a tracked object is in space, against the truth: centre and extent of its surface, from the track's own mask and noisy depth."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.toyworld.scene import BodyTruth, Scene, SceneFrame
from lang2segtrack_ros.types.results import Track

LEAST_PIXELS = 150
WHOLE = 0.97
"""Objects of which less is seen have another centre and extent than the truth says."""
CENTRE_M, CENTRE_SHARE = 0.02, 0.02
EXTENT_SHARE = 0.15


def is_whole(body: BodyTruth) -> bool:
    """Whether the object is seen well enough to be measured."""
    return body.box is not None and body.fraction >= WHOLE and body.visible >= LEAST_PIXELS


def errors(track: Track | None, tracks: Iterable[Track], body: BodyTruth, shot: SceneFrame, scene: Scene) -> tuple[float, float]:
    """Distance of the centres in parts of what is allowed (2 cm or 2 %), and the worse of width's and height's error as a share.

    Infinite both for an object that is not tracked or not measured. `tracks` are all of the frame.
    """
    if track is None or track.box is None:
        return float("inf"), float("inf")
    others = (other.mask for other in tracks if other is not track and other.box is not None)
    surface = measure(track.mask, track.box, shot.depth_m, scene.camera, others)
    if surface is None:
        return float("inf"), float("inf")
    distance = float(np.linalg.norm(np.array(surface.middle) - body.center))
    extent = float(np.abs(np.array(surface.size[:2]) / body.extent[:2] - 1).max())
    return distance / max(CENTRE_M, CENTRE_SHARE * body.center[2]), extent
