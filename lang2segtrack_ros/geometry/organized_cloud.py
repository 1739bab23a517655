# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One 3-D point for each pixel of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.types.frame import CameraModel


def organize(depth: NDArray[np.float32], camera: CameraModel, points: NDArray[np.float32]) -> None:
    """Fill in the point of each pixel.

    Args:
        depth: float32 [h, w], meters, NaN where unknown. It shows the view of the camera, possibly at another size. Then each pixel takes
            the nearest depth pixel.
        camera: camera with the size of the image.
        points: float32 [H, W, 3], filled in place with x, y, z in meters in the camera's optical frame; NaN where there is no depth.
    """
    height, width = points.shape[:2]
    if depth.shape == (height, width):
        z = depth
    else:
        rows = (np.arange(height) * depth.shape[0] + depth.shape[0] // 2) // height
        columns = (np.arange(width) * depth.shape[1] + depth.shape[1] // 2) // width
        z = depth[rows[:, None], columns]
    ray = rays(camera)
    np.multiply(ray[:, :, 0], z, out=points[:, :, 0])
    np.multiply(ray[:, :, 1], z, out=points[:, :, 1])
    points[:, :, 2] = z
