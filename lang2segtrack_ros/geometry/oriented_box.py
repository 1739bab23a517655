# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes around the visible surface of an object, such as a gripper or a planner needs.

The axes come from the surface. One axis is given: the vertical, or the normal of the largest flat part. The points are projected along it
onto a plane, and a rectangle is fitted there. The rectangle with the smallest area is ambiguous: two visible sides of a box project to
two legs of a right triangle, and a rectangle on its hypotenuse has the same area. Among rectangles of almost the smallest area, the one
whose sides are closest to the points is chosen (the closeness criterion of Zhang et al., "Efficient L-shape fitting for vehicle detection
using laser scanners", IV 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.surface import Surface, Vector

MAX_POINTS = 600
"""Maximum number of points that decide on the orientation. More points use every second, third, ... one."""
ANGLES = np.deg2rad(np.arange(0.0, 90.0, 3.0))
FINE_ANGLES = np.deg2rad(np.arange(-2.5, 3.0, 0.5))
AREA_RATIO = 1.06
"""Rectangles up to this ratio of the smallest area compete by closeness."""
PLANE_TRIALS = 64
PLANE_TOLERANCE_M = 0.006
PLANE_TOLERANCE_RATIO = 0.004
"""A point lies on a plane up to 6 mm + 0.4 % of its distance, which is the noise of a depth camera at 1 m."""
BORDER_SAMPLES = 1.5
"""Width of the border of the silhouette without a measured point: the sample beside the depth jump, and half of the outermost one."""
MIN_ACROSS = 0.3
"""Minimum sine of the angle between an axis and the view ray. Along the ray itself, no border is hidden."""
TAIL = 0.5
"""Percentage of points that may lie outside each face of a box, in percent."""
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A box in some frame, meters.

    Attributes:
        center: center of the box.
        rotation: float64 [3, 3], orthonormal and right-handed. Its columns are the axes of the box.
        size: side lengths along these axes.
    """

    center: Vector
    rotation: Array
    size: Vector

    @cached_property
    def quaternion(self) -> tuple[float, float, float, float]:
        """Orientation as (x, y, z, w), with w >= 0."""
        x, y, z, w = (float(value) for value in Rotation.from_matrix(self.rotation).as_quat(canonical=True))
        return x, y, z, w

    def moved(self, motion: RigidTransform) -> OrientedBox:
        """Return the same box in another frame."""
        x, y, z = (float(value) for value in motion.rotation @ np.array(self.center) + motion.translation)
        return OrientedBox((x, y, z), motion.rotation @ self.rotation, self.size)


def camera_box(surface: Surface) -> OrientedBox:
    """Return the box with the axes of the camera's optical frame."""
    return OrientedBox(surface.box_center, np.eye(3), surface.size)


def gravity_box(surface: Surface, up: Array) -> OrientedBox:
    """Return a box that stands upright. Its z axis points up, its x axis along the longer horizontal side.

    Args:
        surface: visible surface.
        up: float64 [3], direction against gravity in the frame of the surface. Any length.

    Raises:
        ValueError: `up` has length zero.
    """
    length = float(np.linalg.norm(up))
    if not length > 1e-9:
        raise ValueError(f"the direction up is {up.tolist()}: it has no length")
    return _fit(surface, _thinned(surface.points), up / length, is_upright=True)


def free_box(surface: Surface) -> OrientedBox:
    """Return a box in any orientation: x along its longest side, z along its shortest side and toward the camera.

    Candidates for the direction of projection are the normal of the largest flat part of the surface, and the principal axis with the
    smallest variance. The smaller box of both is returned.

    Args:
        surface: visible surface.
    """
    points = _thinned(surface.points)
    centered = points - points.mean(axis=0)
    principal = np.linalg.svd(centered, full_matrices=False)[2][2]
    boxes = [_fit(surface, points, normal, is_upright=False) for normal in (_plane_normal(points, principal), principal)]
    return min(boxes, key=lambda box: float(np.prod(np.maximum(box.size, surface.footprint))))


def _thinned(points: NDArray[np.float32]) -> Array:
    return points[:: max(1, -(-len(points) // MAX_POINTS))].astype(np.float64)


def _plane_normal(points: Array, default: Array) -> Array:
    """Return the normal [3] of the plane with most points [N, 3], by RANSAC with fixed random numbers. Without a plane, the default."""
    chosen = np.random.default_rng(0).integers(0, len(points), (PLANE_TRIALS, 3))
    first, second, third = (points[chosen[:, column]] for column in range(3))
    normals = np.cross(second - first, third - first)
    lengths = np.linalg.norm(normals, axis=1)
    is_plane = lengths > 1e-12
    if not is_plane.any():
        return default
    normals, first = normals[is_plane] / lengths[is_plane, None], first[is_plane]
    tolerance = PLANE_TOLERANCE_M + PLANE_TOLERANCE_RATIO * float(np.linalg.norm(points, axis=1).mean())
    near = np.abs(points @ normals.T - np.einsum("ij,ij->i", normals, first)) <= tolerance
    inliers = points[near[:, int(near.sum(axis=0).argmax())]]
    refined: Array = np.linalg.svd(inliers - inliers.mean(axis=0), full_matrices=False)[2][2]
    return refined


def _fit(surface: Surface, points: Array, normal: Array, is_upright: bool) -> OrientedBox:
    """Return the box of a surface with one given axis.

    Args:
        surface: visible surface, whose points decide on the extent.
        points: float64 [N, 3], points that decide on the orientation.
        normal: float64 [3], given axis of length 1.
        is_upright: True keeps the given axis as z. False sorts the axes by length.
    """
    helper = np.eye(3)[int(np.abs(normal).argmin())]
    first = np.cross(helper, normal)
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    angle = _rectangle_angle(points @ np.stack((first, second), axis=1))
    axes = np.stack((np.cos(angle) * first + np.sin(angle) * second, np.cos(angle) * second - np.sin(angle) * first, normal))
    low, high = np.percentile(surface.points.astype(np.float64) @ axes.T, (TAIL, 100 - TAIL), axis=0)
    ray = np.array(surface.center) / max(float(np.linalg.norm(surface.center)), 1e-9)
    across = np.sqrt(np.maximum(0.0, 1 - (axes @ ray) ** 2))
    margin = np.where(across > MIN_ACROSS, BORDER_SAMPLES * 2 * surface.footprint / np.maximum(across, MIN_ACROSS), 0.0)
    low, high = low - margin, high + margin
    order = _order(high - low, is_upright)
    center = (low + high) / 2 @ axes
    axes, size = axes[order], (high - low)[order]
    rotation = _signed(axes, center, is_upright).T
    return OrientedBox((float(center[0]), float(center[1]), float(center[2])), rotation, (float(size[0]), float(size[1]), float(size[2])))


def _order(size: Array, is_upright: bool) -> list[int]:
    if is_upright:
        return [0, 1, 2] if size[0] >= size[1] else [1, 0, 2]
    return [int(index) for index in np.argsort(-size, kind="stable")]


def _signed(axes: Array, center: Array, is_upright: bool) -> Array:
    """Return the axes [3, 3] as rows with signs that change as rarely as possible: z toward the camera unless upright, x to the right."""
    z = axes[2] if is_upright or axes[2] @ center < 0 else -axes[2]
    x = axes[0] if axes[0][int(np.abs(axes[0]).argmax())] > 0 else -axes[0]
    return np.stack((x, np.cross(z, x), z))


def _rectangle_angle(points: Array) -> float:
    """Return the angle in radians, 0 to pi / 2, of the rectangle around points [N, 2]."""
    coarse = _best_angle(points, ANGLES)
    return _best_angle(points, coarse + FINE_ANGLES)


def _best_angle(points: Array, angles: Array) -> float:
    cosine, sine = np.cos(angles), np.sin(angles)
    along = points[:, :1] * cosine + points[:, 1:] * sine  # [N, angles]
    across = points[:, 1:] * cosine - points[:, :1] * sine
    tail = round(len(points) * TAIL / 100)
    sides = [np.partition(values, (tail, -1 - tail), axis=0)[[tail, -1 - tail]] for values in (along, across)]
    (left, right), (bottom, top) = sides
    area = (right - left) * (top - bottom)
    gaps = [np.abs(np.minimum(values - low, high - values)) for values, low, high in ((along, left, right), (across, bottom, top))]
    closeness = np.minimum(*gaps).mean(axis=0)
    is_small = area <= AREA_RATIO * area.min() + 1e-12
    return float(angles[int(np.where(is_small, closeness, np.inf).argmin())])
