# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Reprojection of a depth image into the view of another camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.types.frame import CameraModel

MAX_RAY_ERROR = 0.05
"""Maximum distance at z = 1 between a point and the ray of its pixel.

A larger distance means that the distortion model folded the point back into the image. The limit grows toward the border of a wide view,
where neighboring rays are farther apart.
"""


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A rigid transform: `rotation @ p + translation` maps a point p from one frame to another.

    Attributes:
        rotation: float64 [3, 3], orthonormal.
        translation: float64 [3], meters.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @staticmethod
    def identity() -> RigidTransform:
        """Return the identity transform."""
        return RigidTransform(np.eye(3), np.zeros(3))

    @staticmethod
    def from_quaternion(quaternion: tuple[float, float, float, float], translation: tuple[float, float, float]) -> RigidTransform:
        """Return the transform of a quaternion and a translation.

        Args:
            quaternion: (x, y, z, w); the function normalizes it.
            translation: meters.

        Raises:
            ValueError: the quaternion has length zero.
        """
        length = float(np.linalg.norm(quaternion))
        if not length > 1e-9:
            raise ValueError(f"quaternion {quaternion} has no length")
        x, y, z, w = (value / length for value in quaternion)
        rotation = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        return RigidTransform(np.array(rotation), np.array(translation, dtype=np.float64))

    def after(self, first: RigidTransform) -> RigidTransform:
        """Return the composition that applies `first`, then this transform."""
        return RigidTransform(self.rotation @ first.rotation, self.rotation @ first.translation + self.translation)

    def inverse(self) -> RigidTransform:
        """Return the inverse transform."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)


def align_depth(depth: NDArray[np.float32], depth_camera: CameraModel, camera: CameraModel, motion: RigidTransform) -> NDArray[np.float32]:
    """Reproject a depth image into the view of `camera`.

    Each depth pixel becomes a 3-D point, is transformed, and lands on one pixel. If several points land on a pixel, the nearest one wins,
    because a surface in front occludes the surfaces behind it. The output is no finer than the depth camera resolves.

    Args:
        depth: float32 [h, w], meters, NaN where unknown.
        depth_camera: camera that took the depth image, with the same size.
        camera: camera that defines the target view.
        motion: transform from the optical frame of `depth_camera` to that of `camera`.

    Returns:
        float32 [h', w'], meters, NaN where unknown. w' / h' is about camera.width / camera.height.
    """
    scale = min(1.0, depth_camera.fx / camera.fx, depth_camera.fy / camera.fy)
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    valid = np.flatnonzero(np.isfinite(depth))
    z = depth.ravel()[valid]
    ray_x, ray_y = rays(depth_camera).reshape(-1, 2)[valid].T
    x, y = ray_x * z, ray_y * z
    rotation, translation = motion.rotation.astype(np.float32), motion.translation.astype(np.float32)
    x, y, z = (rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z + translation[axis] for axis in range(3))
    z[z < 1e-3] = np.nan
    column, row = project(x, y, z, camera)
    column, row = (column + 0.5) * (width / camera.width), (row + 0.5) * (height / camera.height)
    inside = np.flatnonzero((column >= 0) & (column < width) & (row >= 0) & (row < height))  # NaN fails each comparison
    if camera.distortion:  # the polynomial holds within the image only, and folds points far outside back into it
        pixel_rays = rays(camera)[
            (row[inside] * (camera.height / height)).astype(np.int64), (column[inside] * (camera.width / width)).astype(np.int64)
        ]
        error = np.hypot(pixel_rays[:, 0] - x[inside] / z[inside], pixel_rays[:, 1] - y[inside] / z[inside])
        inside = inside[error < MAX_RAY_ERROR * (1 + np.square(pixel_rays).sum(axis=1))]
    nearest = np.full(height * width, np.inf, np.float32)
    np.minimum.at(nearest, row[inside].astype(np.int64) * width + column[inside].astype(np.int64), z[inside])
    nearest[np.isinf(nearest)] = np.nan
    return nearest.reshape(height, width)
