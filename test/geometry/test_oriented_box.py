# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes against boxes of known size and rotation, sampled as depth images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.oriented_box import OrientedBox, camera_box, free_box, gravity_box
from lang2segtrack_ros.geometry.surface import Surface, measure
from test.geometry.boxes import box
from test.geometry.surfaces import CAMERA, View, add_errors, ball, card, render

SIZE = (0.24, 0.16, 0.12)
"""Length, width and height of the box on the table, meters."""
PITCH = np.deg2rad(35.0)
UP = np.array([0.0, -np.cos(PITCH), -np.sin(PITCH)])
"""Direction up in the optical frame of a camera that looks down by 35 degrees."""


def upright(yaw: float) -> np.ndarray:
    """Return the axes of a box that stands upright, turned by `yaw` degrees around the vertical."""
    forward = np.array([0.0, -np.sin(PITCH), np.cos(PITCH)])
    right = np.cross(forward, UP)
    x = np.cos(np.deg2rad(yaw)) * right + np.sin(np.deg2rad(yaw)) * forward
    return np.stack((x, np.cross(UP, x), UP), axis=1)


def surface_of(view: View) -> Surface:
    surface = measure(view.mask, view.box, view.depth, CAMERA)
    assert surface is not None
    return surface


def turn(found: OrientedBox, true: np.ndarray) -> float:
    """Return the angle between two boxes in degrees. A box looks the same after half a turn around any of its axes."""
    flips = [np.diag(signs) for signs in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    return min(float(np.rad2deg(Rotation.from_matrix(found.rotation.T @ true @ flip).magnitude())) for flip in flips)


@pytest.mark.parametrize("yaw", [0, 15, 30, 45, 60, 80, 100, 135, 170])
def test_upright_box_has_true_yaw_and_size(yaw: float) -> None:
    """The camera sees the top and one or two sides. The bottom edge of a near side bounds the height."""
    surface = surface_of(render(box((0.05, 0.04, 1.0), SIZE, upright(yaw))))
    found = gravity_box(surface, UP)
    assert turn(found, upright(yaw)) < 1.0
    assert np.abs(np.array(found.size) - SIZE).max() < 0.007
    assert np.linalg.norm(np.array(found.center) - (0.05, 0.04, 1.0)) < 0.008


@pytest.mark.parametrize("distance", [0.6, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("yaw", [0, 30, 45, 75])
def test_upright_box_with_the_errors_of_a_real_camera(yaw: float, distance: float) -> None:
    """Noise, holes, flying pixels and a ragged mask occur together. Noise at 2 m has a standard deviation of 6 mm."""
    exact = render(box((0.1 * distance, 0.05 * distance, distance), SIZE, upright(yaw)))
    center = np.array([0.1 * distance, 0.05 * distance, distance])
    for seed in range(4):
        found = gravity_box(surface_of(add_errors(exact, seed)), UP)
        assert turn(found, upright(yaw)) < 6.0
        assert np.abs(np.array(found.size) - SIZE).max() < 0.02 + 0.01 * distance
        assert np.linalg.norm(np.array(found.center) - center) < 0.015 + 0.005 * distance


@pytest.mark.parametrize("seed", range(12))
def test_box_in_any_orientation(seed: int) -> None:
    """The visible faces decide on the rotation, whatever the rotation is."""
    true = Rotation.random(random_state=seed).as_matrix()
    surface = surface_of(render(box((0.0, 0.0, 0.9), SIZE, true)))
    found = free_box(surface)
    visible = np.sort(-(true.T @ [0.0, 0.0, 1.0]))  # cosines of the faces; a grazing face is hidden by the depth jump beside it
    if np.abs(visible).min() > 0.2:
        assert turn(found, true) < 3.0
        assert np.abs(np.array(found.size) - SIZE).max() < 0.012
    assert found.size[0] >= found.size[1] >= found.size[2]
    assert found.rotation[:, 2] @ np.array(found.center) < 0, "z points toward the camera"


def test_flat_card_is_flat() -> None:
    """A tilted card has an oriented box of 1 cm, the margin for its border, where the camera's axes give it a depth of 20 cm."""
    surface = surface_of(render(card((0.0, 0.0, 1.5), 0.35, 0.20, 0.7)))
    found = free_box(surface)
    assert surface.size[2] > 0.2
    assert found.size[2] < 0.015
    assert np.abs(np.array(found.size[:2]) / (0.35, 0.20) - 1).max() < 0.04


def test_round_object_has_its_width() -> None:
    """A ball has no orientation. Any is right, if the box is as wide as the ball."""
    surface = surface_of(render(ball((0.1, 0.0, 1.2), 0.1)))
    for found in (free_box(surface), gravity_box(surface, UP)):
        assert max(found.size) == pytest.approx(0.2, abs=0.02)
        assert np.linalg.det(found.rotation) == pytest.approx(1.0)


def test_camera_box_is_the_box_of_the_surface() -> None:
    """The default must not change."""
    surface = surface_of(render(card((0.0, 0.0, 1.5), 0.35, 0.20, 0.7)))
    found = camera_box(surface)
    assert (found.center, found.size, found.quaternion) == (surface.box_center, surface.size, (0.0, 0.0, 0.0, 1.0))


def test_full_resolution_measures_every_pixel() -> None:
    """A near object has more pixels than the usual limit of samples."""
    view = render(box((0.0, 0.0, 0.6), SIZE, upright(30)))
    usual = surface_of(view)
    full = measure(view.mask, view.box, view.depth, CAMERA, max_samples=float("inf"))
    assert full is not None
    assert len(usual.points) < 12_000 < len(full.points)
    assert len(full.points) > 0.9 * np.count_nonzero(view.mask)
    assert np.abs(np.array(gravity_box(full, UP).size) - gravity_box(usual, UP).size).max() < 0.004


def test_box_in_another_frame_encloses_the_same_points() -> None:
    """Transform and inverse give the same box, and the corners move as points do."""
    motion = RigidTransform.from_quaternion((0.1, 0.4, -0.2, 0.7), (1.0, -2.0, 0.5))
    found = gravity_box(surface_of(render(box((0.0, 0.0, 1.0), SIZE, upright(20)))), UP)
    moved = found.moved(motion)
    corner = np.array(found.center) + found.rotation @ (np.array(found.size) / 2)
    assert np.array(moved.center) + moved.rotation @ (np.array(moved.size) / 2) == pytest.approx(
        motion.rotation @ corner + motion.translation
    )
    back = moved.moved(motion.inverse())
    assert back.center == pytest.approx(found.center)
    assert back.quaternion == pytest.approx(found.quaternion)


def test_up_without_length_is_refused() -> None:
    """A rotation of zeros from a broken transform must not become NaN."""
    with pytest.raises(ValueError, match="no length"):
        gravity_box(surface_of(render(ball((0.1, 0.0, 1.2), 0.1))), np.zeros(3))
