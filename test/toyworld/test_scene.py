# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The toy world tells the truth about its own pictures."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.toyworld.scene import WALL_M, Body, Scene, demo_scene
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES, outline


def test_frames_depend_on_seed_and_number_alone() -> None:
    first, second, other = demo_scene(160, 120), demo_scene(160, 120), demo_scene(160, 120, seed=9)
    second.render(33)
    assert np.array_equal(first.render(7).color, second.render(7).color)
    assert np.array_equal(first.render(7).depth_mm, second.render(7).depth_mm)
    assert not np.array_equal(first.render(7).color, other.render(7).color)


def test_truth_colour_and_depth_agree() -> None:
    scene = demo_scene()
    shot = scene.render(20)
    for number, body in enumerate(scene.bodies, start=1):
        inside = shot.instances == number
        assert np.abs(shot.color[inside].mean(axis=0) - COLORS[body.color]).max() < 45
        known = shot.depth_mm[inside & (shot.depth_mm > 0)]
        assert np.median(known) == pytest.approx(body.depth_m * 1000, abs=15)
    wall = shot.depth_mm[(shot.instances == 0) & (shot.depth_mm > 0)]
    assert np.median(wall) == pytest.approx(WALL_M * 1000, abs=60)
    assert 0.001 < np.mean(shot.depth_mm == 0) < 0.05, "a sensor has holes"


def test_size_follows_distance() -> None:
    """A body of radius r at z metres is r * fx / z pixels large."""
    scene = Scene((Body("red", "circle", (0.5, 0.5), radius_m=0.2, depth_m=2.0),))
    columns = np.flatnonzero((scene.render(0).instances == 1).any(axis=0))
    assert columns[-1] + 1 - columns[0] == pytest.approx(2 * 0.95 * 0.2 * scene.camera.fx / 2.0, abs=2)


def test_nearer_bodies_hide_farther_ones() -> None:
    bodies = (Body("red", "square", (0.5, 0.5), depth_m=1.5), Body("blue", "square", (0.5, 0.5), depth_m=3.0))
    assert set(np.unique(Scene(bodies).render(0).instances)) == {0, 1}


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_are_centred_and_of_unit_size(shape: str) -> None:
    corners = outline(shape)
    assert np.abs(corners.mean(axis=0)).max() < 0.05
    assert 0.8 < np.abs(corners).max() < 1.25


def test_bodies_may_leave_the_image() -> None:
    scene = Scene((Body("red", "circle", (-0.5, 0.5)), Body("blue", "star", (1.0, 1.0))))
    shot = scene.render(0)
    assert not (shot.instances == 1).any()
    assert (shot.instances == 2).any()
