# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth alignment, compared with the true depth in the view of the target camera."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.geometry.alignment import RigidTransform, align_depth
from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.types.frame import CameraModel, FrameError
from test.geometry.surfaces import CAMERA, add_errors, ball, render

DEPTH_CAMERA = CameraModel(425.0, 425.0, 423.5, 239.5, 848, 480, "camera_depth_optical_frame")
# Extrinsics of a RealSense D435: 15 mm to the side, rotated by half a degree.
MOTION = RigidTransform.from_quaternion((0.0, float(np.sin(0.0044)), 0.0, float(np.cos(0.0044))), (0.015, 0.0005, -0.0003))


def render_depth_camera(center: tuple[float, float, float], radius: float) -> np.ndarray:
    """Return the depth camera's image of a ball. `center` is in the frame of the color camera."""
    inverse = MOTION.inverse()
    x, y, z = (inverse.rotation @ np.array(center) + inverse.translation).tolist()
    return render(ball((x, y, z), radius), DEPTH_CAMERA).depth


@pytest.mark.parametrize("lens", [(), (0.1, -0.2, 0.001, 0.0005, 0.05)], ids=["pinhole", "distorted"])
def test_aligned_depth_matches_the_color_camera(lens: tuple[float, ...]) -> None:
    camera = replace(CAMERA, distortion=lens)
    center = (0.2, -0.1, 1.5)
    truth = add_errors(render(ball(center, 0.15), camera), 0, flying=0, holes=0.0, mask_error=0)
    aligned = align_depth(render_depth_camera(center, 0.15), DEPTH_CAMERA, camera, MOTION)
    assert aligned.shape[1] == pytest.approx(640 * 425 / 610, abs=1)
    surface = measure(truth.mask, truth.box, aligned, camera)
    assert surface is not None
    assert np.linalg.norm(np.array(surface.center) - truth.center) < 0.006
    assert np.abs(np.array(surface.size[:2]) / truth.size[:2] - 1).max() < 0.05
    assert surface.coverage > 0.6
    unaligned = measure(truth.mask, truth.box, render_depth_camera(center, 0.15), camera)
    assert unaligned is None or np.linalg.norm(np.array(unaligned.center) - truth.center) > 0.02, (
        "unaligned depth must give a wrong position"
    )


def test_nearest_point_occludes_points_behind() -> None:
    """Several depth pixels land on one color pixel if the color camera has a lower resolution."""
    depth = np.full((480, 848), 3.0, np.float32)
    depth[:, ::2] = 1.0
    coarse = CameraModel(100.0, 100.0, 99.5, 56.5, 200, 114)
    aligned = align_depth(depth, DEPTH_CAMERA, coarse, RigidTransform.identity())
    assert aligned.shape == (114, 200)
    assert np.nanmax(aligned) == 1.0


@pytest.mark.parametrize(
    "changes",
    [{}, {"distortion": (-0.056, 0.066, 0.0, 0.0, -0.021)}, {"distortion": (0.05, 0.01, 0.0, 0.0), "fisheye": True}],
    ids=["pinhole", "plumb bob", "fisheye"],
)
def test_depth_without_valid_pixels_stays_empty(changes: dict[str, Any]) -> None:
    """A covered lens gives no valid depth, and OpenCV's projection does not accept an empty list."""
    aligned = align_depth(np.full((480, 848), np.nan, np.float32), DEPTH_CAMERA, replace(CAMERA, **changes), MOTION)
    assert np.isnan(aligned).all()


def test_points_far_outside_the_view_stay_outside() -> None:
    """The distortion polynomial is calibrated within the image. Outside, it folds back and must not move points into the image."""
    narrow = CameraModel(900.0, 900.0, 639.5, 359.5, 1280, 720, distortion=(0.1, -0.4, 0.0, 0.0))
    fold = 0.887  # radius r at which r (1 + 0.1 r^2 - 0.4 r^4) has its maximum
    outside = np.where(np.linalg.norm(rays(DEPTH_CAMERA), axis=2) > 1.1 * fold, 2.0, np.nan).astype(np.float32)
    assert np.isfinite(outside).sum() > 1000
    assert np.isnan(align_depth(outside, DEPTH_CAMERA, narrow, RigidTransform.identity())).all()
    whole = align_depth(np.full((480, 848), 2.0, np.float32), DEPTH_CAMERA, narrow, RigidTransform.identity())
    assert np.isfinite(whole[100:-100, 100:-100]).mean() > 0.99


def test_points_behind_the_camera_are_dropped() -> None:
    behind = RigidTransform(np.eye(3), np.array([0.0, 0.0, -5.0]))
    assert np.isnan(align_depth(np.full((480, 848), 2.0, np.float32), DEPTH_CAMERA, CAMERA, behind)).all()


def test_transforms_compose_and_invert() -> None:
    transform = RigidTransform.from_quaternion((0.1, -0.3, 0.2, 0.9), (1.0, 2.0, 3.0))
    product = transform.inverse().after(transform)
    assert np.allclose(product.rotation, np.eye(3))
    assert np.allclose(product.translation, 0)
    quarter = RigidTransform.from_quaternion((0.0, 0.0, 2.0, 2.0), (0.0, 0.0, 1.0))  # 90 degrees around z, without unit length
    assert np.allclose(quarter.rotation @ (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="no length"):
        RigidTransform.from_quaternion((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        replace(CAMERA, distortion=(0.1, -0.2, 0.001, 0.0005, 0.05)),
        replace(CAMERA, distortion=(0.05, 0.01, 0.0, 0.0), fisheye=True),
    ],
    ids=["pinhole", "plumb bob", "fisheye"],
)
def test_projection_inverts_rays(camera: CameraModel) -> None:
    sampled = np.s_[20:460:40, 20:620:40]
    directions = rays(camera)[sampled].reshape(-1, 2)
    distance = np.full(len(directions), 2.0, np.float32)
    pixels = project(directions[:, 0] * distance, directions[:, 1] * distance, distance, camera)
    rows, columns = np.mgrid[20:460:40, 20:620:40]
    assert np.allclose(pixels, (columns.ravel(), rows.ravel()), atol=0.3)


def test_camera_resizes_to_scaled_images_only() -> None:
    half = CAMERA.resized(320, 240)
    assert (half.fx, half.cx) == (305.0, (322.5 + 0.5) / 2 - 0.5)
    assert CAMERA.resized(640, 480) is CAMERA
    with pytest.raises(FrameError, match="but the image has 640 x 360"):
        CAMERA.resized(640, 360)
