# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evidence that an object is gone: the camera looks at its place, and depth shows free space there.

Three cases must not be mixed up. A surface behind the place: the place is free. A surface in front of it: the place is occluded, and
nothing follows. A surface at the place: something is there, perhaps the object, which the tracker does not show.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.rays import project
from lang2segtrack_ros.object_map.objects import View
from lang2segtrack_ros.object_map.table import ObjectTable

MIN_DISTANCE_M = 0.25
BORDER_PX = 3
MIN_RADIUS_PX = 3.0
"""A smaller object is covered by few pixels of depth, so its place gives no evidence."""
NOISE_M_PER_M2 = 0.006
"""Three standard deviations of the depth of a stereo camera, for each square meter of distance."""
MIN_RADIUS_M = 0.03
SAMPLE_RADIUS = 0.6
"""Samples lie at the center of the place, and on a circle of this fraction of the radius of the object."""
_ANGLES = np.arange(8) * (np.pi / 4)
_SAMPLES = np.vstack([np.zeros((1, 2)), SAMPLE_RADIUS * np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])])
MIN_KNOWN = 5
MIN_FREE_RATIO = 0.8


class Place(Enum):
    """What the depth of a view shows at the place of an object."""

    FREE = "free"
    OCCLUDED = "occluded"
    TAKEN = "taken"
    UNKNOWN = "unknown"


def rows_in_view(view: View, table: ObjectTable, max_range: float) -> NDArray[np.int64]:
    """Return the rows of the objects whose whole place lies in the image.

    Args:
        view: view of the camera.
        table: objects.
        max_range: maximum distance from the camera, meters.
    """
    near = table.near(view.pose.translation, max_range)
    points = (table.positions[near] - view.pose.translation) @ view.pose.rotation
    in_front = points[:, 2] > MIN_DISTANCE_M
    near, points = near[in_front], points[in_front]
    if not len(near):
        return near
    x, y, z = points.astype(np.float32).T
    columns, rows = project(x, y, z, view.camera)
    margin = BORDER_PX + np.maximum(table.radii[near], MIN_RADIUS_M) * view.camera.fx / points[:, 2]
    inside = (columns >= margin) & (columns < view.camera.width - margin) & (rows >= margin) & (rows < view.camera.height - margin)
    is_large = margin - BORDER_PX >= MIN_RADIUS_PX
    visible: NDArray[np.int64] = near[inside & is_large]
    return visible


def look_at(view: View, position: NDArray[np.float64], radius: float, free_margin: float) -> Place:
    """Return what depth shows at a place that lies in the image.

    Args:
        view: view of the camera.
        position: float64 [3], center of the place in the fixed frame, meters.
        radius: half of the size of the object, meters.
        free_margin: minimum distance from the place to the surface behind it, meters.
    """
    if view.depth is None:
        return Place.UNKNOWN
    x, y, z = view.pose.rotation.T @ (position - view.pose.translation)
    radius = max(radius, MIN_RADIUS_M)
    offsets = _SAMPLES * radius
    columns, rows = project(
        (x + offsets[:, 0]).astype(np.float32),
        (y + offsets[:, 1]).astype(np.float32),
        np.full(len(offsets), z, np.float32),
        view.camera,
    )
    depth = _depth_at(view, columns, rows)
    known = np.isfinite(depth)
    if known.sum() < MIN_KNOWN or not known[0]:
        return Place.UNKNOWN
    margin = max(free_margin, NOISE_M_PER_M2 * z * z)
    is_free = depth[known] > z + margin
    if is_free[0] and is_free.mean() >= MIN_FREE_RATIO:
        return Place.FREE
    # A thick object that is seen from another side shows a surface up to its diameter in front of the remembered one.
    is_there = np.abs(depth[known] - z) <= max(margin, 2 * radius)
    if is_there.mean() >= 0.5:
        return Place.TAKEN
    return Place.OCCLUDED


def _depth_at(view: View, columns: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the median depth of the 3 x 3 pixels around each sample, NaN where none is known. Samples outside the image are NaN."""
    assert view.depth is not None
    height, width = view.depth.shape
    scaled_columns = (columns + 0.5) * (width / view.camera.width) - 0.5
    scaled_rows = (rows + 0.5) * (height / view.camera.height) - 0.5
    found = np.full(len(columns), np.nan)
    for index, (column, row) in enumerate(zip(np.rint(scaled_columns).astype(int), np.rint(scaled_rows).astype(int))):
        if not (0 <= column < width and 0 <= row < height):
            continue
        patch = view.depth[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        values = patch[np.isfinite(patch)]
        if len(values):
            found[index] = np.median(values)
    return found
