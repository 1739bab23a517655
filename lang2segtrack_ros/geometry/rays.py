# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion between pixels and rays, and between points and pixels, with lens distortion."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.frame import CameraModel


def _matrix(camera: CameraModel) -> NDArray[np.float64]:
    return np.array([[camera.fx, 0.0, camera.cx], [0.0, camera.fy, camera.cy], [0.0, 0.0, 1.0]])


@lru_cache(maxsize=32)
def rays(camera: CameraModel) -> NDArray[np.float32]:
    """Return the ray of each pixel.

    Args:
        camera: intrinsics and distortion.

    Returns:
        float32 [height, width, 2], x and y of the ray at z = 1. The array is read-only, and cached for the latest 32 cameras.
    """
    x, y = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    if camera.distortion:
        pixels = np.stack((x, y), axis=-1).reshape(-1, 1, 2)
        undistort = cv2.fisheye.undistortPoints if camera.fisheye else cv2.undistortPoints
        table = undistort(pixels, _matrix(camera), np.array(camera.distortion)).reshape(camera.height, camera.width, 2)
    else:
        table = np.stack(((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy), axis=-1)
    table_float32: NDArray[np.float32] = table.astype(np.float32)
    table_float32.flags.writeable = False
    return table_float32


def project(
    x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], camera: CameraModel
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Project points onto the image plane.

    The coordinates are separate arrays, because one [N, 3] array is several times slower.

    Args:
        x: float32 [N], meters, in the optical frame.
        y: float32 [N], meters.
        z: float32 [N], meters, above 0.
        camera: intrinsics and distortion.

    Returns:
        Columns and rows in pixels, float32 [N] each.
    """
    if camera.distortion and len(z):
        no_motion = np.zeros(3)
        points = np.stack((x, y, z), axis=-1).reshape(-1, 1, 3).astype(np.float64)
        project_points = cv2.fisheye.projectPoints if camera.fisheye else cv2.projectPoints
        projected = project_points(points, no_motion, no_motion, _matrix(camera), np.array(camera.distortion))[0]
        pixels = projected.reshape(-1, 2).astype(np.float32)
        return pixels[:, 0], pixels[:, 1]
    return x / z * np.float32(camera.fx) + np.float32(camera.cx), y / z * np.float32(camera.fy) + np.float32(camera.cy)
