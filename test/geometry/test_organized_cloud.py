# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Organized clouds, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.geometry.organized_cloud import organize
from lang2segtrack_ros.geometry.rays import project
from lang2segtrack_ros.types.frame import CameraModel
from test.geometry.surfaces import CAMERA

DISTORTED = replace(CAMERA, distortion=(0.1, -0.2, 0.001, 0.002, 0.05))


@pytest.mark.parametrize("camera", [CAMERA, DISTORTED], ids=["pinhole", "distorted"])
def test_each_pixel_has_its_point(camera: CameraModel) -> None:
    """Each point projects back to its own pixel, and has its depth. Pixels without depth are NaN in all coordinates."""
    random = np.random.default_rng(1)
    depth = random.uniform(0.3, 5.0, (480, 640)).astype(np.float32)
    depth[random.random(depth.shape) < 0.2] = np.nan
    points = np.empty((480, 640, 3), np.float32)
    organize(depth, camera, points)
    assert np.array_equal(points[:, :, 2], depth, equal_nan=True)
    assert np.array_equal(np.isnan(points).all(axis=2), np.isnan(depth))
    assert np.array_equal(np.isnan(points).any(axis=2), np.isnan(depth))
    rows, columns = np.nonzero(np.isfinite(depth))
    x, y, z = points[rows, columns].T
    column, row = project(x, y, z, camera)
    assert np.abs(column - columns).max() < 0.05
    assert np.abs(row - rows).max() < 0.05


def test_smaller_depth_is_repeated() -> None:
    """Depth of half the size: each 2 x 2 block of pixels has the depth of one depth pixel, each along its own ray."""
    depth = np.arange(240 * 320, dtype=np.float32).reshape(240, 320) / 1e4 + 0.5
    points = np.empty((480, 640, 3), np.float32)
    organize(depth, CAMERA, points)
    assert np.array_equal(points[:, :, 2], depth.repeat(2, axis=0).repeat(2, axis=1))
    assert points[100, 200, 0] == pytest.approx((200 - CAMERA.cx) / CAMERA.fx * depth[50, 100], rel=1e-5)
