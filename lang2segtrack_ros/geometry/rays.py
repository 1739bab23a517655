# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels to directions and points to pixels, with the camera's distortion."""

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
    """Where each pixel looks: float32 [height, width, 2], x and y of its ray at z = 1. Read-only, kept for the latest cameras."""
    x, y = np.meshgrid(np.arange(camera.width, dtype=np.float64), np.arange(camera.height, dtype=np.float64))
    if camera.distortion:
        pixels = np.stack((x, y), axis=-1).reshape(-1, 1, 2)
        undistort = cv2.fisheye.undistortPoints if camera.fisheye else cv2.undistortPoints
        table = undistort(pixels, _matrix(camera), np.array(camera.distortion)).reshape(camera.height, camera.width, 2)
    else:
        table = np.stack(((x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy), axis=-1)
    single: NDArray[np.float32] = table.astype(np.float32)
    single.flags.writeable = False
    return single


def project(
    x: NDArray[np.float32], y: NDArray[np.float32], z: NDArray[np.float32], camera: CameraModel
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows, float32 [N], at which points with z > 0 are seen. Coordinates apart, which is several times as quick."""
    if camera.distortion and len(z):
        still = np.zeros(3)
        points = np.stack((x, y, z), axis=-1).reshape(-1, 1, 3).astype(np.float64)
        see = cv2.fisheye.projectPoints if camera.fisheye else cv2.projectPoints
        pixels = see(points, still, still, _matrix(camera), np.array(camera.distortion))[0].reshape(-1, 2).astype(np.float32)
        return pixels[:, 0], pixels[:, 1]
    return x / z * np.float32(camera.fx) + np.float32(camera.cx), y / z * np.float32(camera.fy) + np.float32(camera.cy)
