# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth moved from one camera to another, against the truth seen by the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.geometry.alignment import Rigid, align_depth
from lang2segtrack_ros.geometry.rays import project, rays
from lang2segtrack_ros.geometry.surface import measure
from lang2segtrack_ros.types.frame import CameraModel, FrameError
from test.geometry.surfaces import CAMERA, ball, look, spoil

DEPTH_CAMERA = CameraModel(425.0, 425.0, 423.5, 239.5, 848, 480, "camera_depth_optical_frame")
# As in a D435: 15 mm to the side, turned by half a degree.
MOTION = Rigid.from_quaternion((0.0, float(np.sin(0.0044)), 0.0, float(np.cos(0.0044))), (0.015, 0.0005, -0.0003))


def seen_by_depth_camera(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """The depth camera's image of a ball that stands at `centre` for the colour camera."""
    back = MOTION.inverse()
    x, y, z = (back.rotation @ np.array(centre) + back.translation).tolist()
    return look(ball((x, y, z), radius), DEPTH_CAMERA).depth


@pytest.mark.parametrize("lens", [(), (0.1, -0.2, 0.001, 0.0005, 0.05)], ids=["pinhole", "distorted"])
def test_moved_depth_fits_the_colour_camera(lens: tuple[float, ...]) -> None:
    camera = replace(CAMERA, distortion=lens)
    centre = (0.2, -0.1, 1.5)
    truth = spoil(look(ball(centre, 0.15), camera), 0, flying=0, holes=0.0, mask_error=0)
    aligned = align_depth(seen_by_depth_camera(centre, 0.15), DEPTH_CAMERA, camera, MOTION)
    assert aligned.shape[1] == pytest.approx(640 * 425 / 610, abs=1)
    surface = measure(truth.mask, truth.box, aligned, camera)
    assert surface is not None
    assert np.linalg.norm(np.array(surface.centre) - truth.centre) < 0.006
    assert np.abs(np.array(surface.size[:2]) / truth.size[:2] - 1).max() < 0.05
    assert surface.coverage > 0.6
    unmoved = measure(truth.mask, truth.box, seen_by_depth_camera(centre, 0.15), camera)
    assert unmoved is None or np.linalg.norm(np.array(unmoved.centre) - truth.centre) > 0.02, "taken as it is, it must be wrong"


def test_what_is_in_front_hides_what_is_behind() -> None:
    """Two depth pixels land on one colour pixel when the colour camera resolves less."""
    depth = np.full((480, 848), 3.0, np.float32)
    depth[:, ::2] = 1.0
    coarse = CameraModel(100.0, 100.0, 99.5, 56.5, 200, 114)
    aligned = align_depth(depth, DEPTH_CAMERA, coarse, Rigid.identity())
    assert aligned.shape == (114, 200)
    assert np.nanmax(aligned) == 1.0


@pytest.mark.parametrize(
    "changes",
    [{}, {"distortion": (-0.056, 0.066, 0.0, 0.0, -0.021)}, {"distortion": (0.05, 0.01, 0.0, 0.0), "fisheye": True}],
    ids=["pinhole", "plumb bob", "fisheye"],
)
def test_nothing_known_stays_nothing(changes: dict[str, Any]) -> None:
    """A covered lens; OpenCV's projection knows no empty list."""
    aligned = align_depth(np.full((480, 848), np.nan, np.float32), DEPTH_CAMERA, replace(CAMERA, **changes), MOTION)
    assert np.isnan(aligned).all()


def test_what_is_far_outside_the_view_does_not_come_back_in() -> None:
    """Distortion's polynomial, which is measured within the image, turns round outside of it."""
    narrow = CameraModel(900.0, 900.0, 639.5, 359.5, 1280, 720, distortion=(0.1, -0.4, 0.0, 0.0))
    fold = 0.887  # where r (1 + 0.1 r^2 - 0.4 r^4) is greatest
    outside = np.where(np.linalg.norm(rays(DEPTH_CAMERA), axis=2) > 1.1 * fold, 2.0, np.nan).astype(np.float32)
    assert np.isfinite(outside).sum() > 1000
    assert np.isnan(align_depth(outside, DEPTH_CAMERA, narrow, Rigid.identity())).all()
    whole = align_depth(np.full((480, 848), 2.0, np.float32), DEPTH_CAMERA, narrow, Rigid.identity())
    assert np.isfinite(whole[100:-100, 100:-100]).mean() > 0.99


def test_points_behind_the_camera_are_left_out() -> None:
    away = Rigid(np.eye(3), np.array([0.0, 0.0, -5.0]))
    assert np.isnan(align_depth(np.full((480, 848), 2.0, np.float32), DEPTH_CAMERA, CAMERA, away)).all()


def test_motions_compose_and_undo() -> None:
    there = Rigid.from_quaternion((0.1, -0.3, 0.2, 0.9), (1.0, 2.0, 3.0))
    both = there.inverse().after(there)
    assert np.allclose(both.rotation, np.eye(3))
    assert np.allclose(both.translation, 0)
    quarter = Rigid.from_quaternion((0.0, 0.0, 2.0, 2.0), (0.0, 0.0, 1.0))  # 90 degrees around z, not of unit length
    assert np.allclose(quarter.rotation @ (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="no length"):
        Rigid.from_quaternion((0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "camera",
    [
        CAMERA,
        replace(CAMERA, distortion=(0.1, -0.2, 0.001, 0.0005, 0.05)),
        replace(CAMERA, distortion=(0.05, 0.01, 0.0, 0.0), fisheye=True),
    ],
    ids=["pinhole", "plumb bob", "fisheye"],
)
def test_rays_and_projection_are_each_others_inverse(camera: CameraModel) -> None:
    picked = np.s_[20:460:40, 20:620:40]
    directions = rays(camera)[picked].reshape(-1, 2)
    distance = np.full(len(directions), 2.0, np.float32)
    seen = project(directions[:, 0] * distance, directions[:, 1] * distance, distance, camera)
    rows, columns = np.mgrid[20:460:40, 20:620:40]
    assert np.allclose(seen, (columns.ravel(), rows.ravel()), atol=0.3)


def test_camera_of_another_size() -> None:
    half = CAMERA.resized(320, 240)
    assert (half.fx, half.cx) == (305.0, (322.5 + 0.5) / 2 - 0.5)
    assert CAMERA.resized(640, 480) is CAMERA
    with pytest.raises(FrameError, match="no scaled 640 x 360"):
        CAMERA.resized(640, 360)
