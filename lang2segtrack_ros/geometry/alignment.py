# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth as one camera sees it, turned into depth as another one would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.types.frame import CameraModel

FOLDED = 0.05
"""A point further from the ray of its pixel, at z = 1, does not belong there; more at a wide view's rim, where rays lie apart."""


@dataclass(frozen=True, eq=False)
class Rigid:
    """A rigid motion: p in one frame is rotation @ p + translation in another.

    Attributes:
        rotation: float64 [3, 3], orthonormal.
        translation: float64 [3], metres.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @staticmethod
    def identity() -> Rigid:
        """The motion that moves nothing."""
        return Rigid(np.eye(3), np.zeros(3))

    @staticmethod
    def from_quaternion(quaternion: tuple[float, float, float, float], translation: tuple[float, float, float]) -> Rigid:
        """From (x, y, z, w), of any length but zero, and a translation in metres. Raises ValueError for a length of zero."""
        length = float(np.linalg.norm(quaternion))
        if not length > 1e-9:
            raise ValueError(f"quaternion {quaternion} has no length")
        x, y, z, w = (value / length for value in quaternion)
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return Rigid(np.array(rotation), np.array(translation, dtype=np.float64))

    def after(self, first: Rigid) -> Rigid:
        """`first`, then this one."""
        return Rigid(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)

    def inverse(self) -> Rigid:
        """The way back."""
        return Rigid(self.rotation.T, -self.rotation.T @ self.translation)


def align_depth(depth: NDArray[np.float32], depth_camera: CameraModel, camera: CameraModel, motion: Rigid) -> NDArray[np.float32]:
    """Depth as `camera` sees it, in its view but not finer than the depth camera resolves.

    Every depth pixel becomes a point, is moved, and lands on one pixel; the nearest point wins, as a surface in front hides one behind.

    Args:
        depth: float32 [h, w] metres, NaN unknown.
        depth_camera: who took it, of the same size.
        camera: whose view is wanted.
        motion: from the depth camera's frame to the other's.

    Returns:
        float32 [h', w'] metres, NaN unknown. w' / h' is about camera.width / camera.height.
    """
    scale = min(1.0, depth_camera.fx / camera.fx, depth_camera.fy / camera.fy)
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    known = np.flatnonzero(np.isfinite(depth))
    z = depth.ravel()[known]
    ray_x, ray_y = rays(depth_camera).reshape(-1, 2)[known].T
    x, y = ray_x * z, ray_y * z
    turn, shift = motion.rotation.astype(np.float32), motion.translation.astype(np.float32)
    x, y, z = (turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z + shift[axis] for axis in range(3))
    z[z < 1e-3] = np.nan
    column, row = project(x, y, z, camera)
    column, row = (column + 0.5) * (width / camera.width), (row + 0.5) * (height / camera.height)
    inside = np.flatnonzero((column >= 0) & (column < width) & (row >= 0) & (row < height))  # NaN is nowhere
    if camera.distortion:  # its polynomial is of the image alone: beyond, it folds what is far outside back in
        there = rays(camera)[
            (row[inside] * (camera.height / height)).astype(np.int64), (column[inside] * (camera.width / width)).astype(np.int64)
        ]
        off = np.hypot(there[:, 0] - x[inside] / z[inside], there[:, 1] - y[inside] / z[inside])
        inside = inside[off < FOLDED * (1 + np.square(there).sum(axis=1))]
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, row[inside].astype(np.int64) * width + column[inside].astype(np.int64), z[inside])
    nearest[np.isinf(nearest)] = np.nan
    return nearest.reshape(height, width)
