# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The ground truth of the toy world agrees with its images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import WALL_M, Scene, SceneFrame, demo_scene
from lang2segtrack_ros.toyworld.shapes import COLORS, PILLAR, SHAPES, outline
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.toyworld.walls import SceneStyle


def test_frame_depends_on_seed_and_index_alone() -> None:
    first, second, other = demo_scene(160, 120), demo_scene(160, 120), demo_scene(160, 120, seed=9)
    second.render(33)
    assert np.array_equal(first.render(7).color, second.render(7).color)
    assert np.array_equal(first.render(7).depth_mm, second.render(7).depth_mm)
    assert not np.array_equal(first.render(7).color, other.render(7).color)


def test_truth_color_and_depth_agree() -> None:
    scene = demo_scene()
    shot = scene.render(20)
    for number, body in enumerate(scene.bodies, start=1):
        inside = shot.instances == number
        assert np.abs(shot.color[inside].mean(axis=0) - COLORS[body.color]).max() < 45
        depths = shot.depth_mm[inside & (shot.depth_mm > 0)]
        assert np.median(depths) == pytest.approx(body.depth_m * 1000, abs=15)
    wall = shot.depth_mm[(shot.instances == 0) & (shot.depth_mm > 0)]
    assert np.median(wall) == pytest.approx(WALL_M * 1000, abs=60)
    assert 0.001 < np.mean(shot.depth_mm == 0) < 0.05, "the depth image must have holes"


def test_apparent_size_depends_on_distance() -> None:
    """A body of radius r at z meters has an apparent radius of r * fx / z pixels."""
    scene = Scene((Body("red", "circle", (0.5, 0.5), radius_m=0.2, depth_m=2.0),))
    columns = np.flatnonzero((scene.render(0).instances == 1).any(axis=0))
    assert columns[-1] + 1 - columns[0] == pytest.approx(2 * 0.95 * 0.2 * scene.camera.fx / 2.0, abs=2)


def test_nearer_body_occludes_farther_one() -> None:
    bodies = (Body("red", "square", (0.5, 0.5), depth_m=1.5), Body("blue", "square", (0.5, 0.5), depth_m=3.0))
    assert set(np.unique(Scene(bodies).render(0).instances)) == {0, 1}


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_are_centered_and_have_unit_size(shape: str) -> None:
    corners = outline(shape)
    assert np.abs(corners.mean(axis=0)).max() < 0.05
    assert 0.8 < np.abs(corners).max() < 1.25


def test_body_may_leave_the_image() -> None:
    scene = Scene((Body("red", "circle", (-0.5, 0.5)), Body("blue", "star", (1.0, 1.0))))
    shot = scene.render(0)
    assert not (shot.instances == 1).any()
    assert (shot.instances == 2).any()


@pytest.mark.parametrize(("suite", "index"), [("crowd", 30), ("crossing", 25), ("occlusion", 20), ("camera_shake", 40), ("scene_cut", 70)])
def test_true_boxes_and_pixel_counts_match_the_masks(suite: str, index: int) -> None:
    """The suites include bodies that are partly or fully occluded."""
    for seed in range(3):
        shot = make_clip(suite, seed, 160, 120).scene.render(index)
        assert set(np.unique(shot.instances)) - {0} <= set(shot.bodies)
        for number, truth in shot.bodies.items():
            mask = shot.instances == number
            assert truth.visible == np.count_nonzero(mask)
            if not mask.any():
                assert truth.box is None
                assert truth.fraction == 0
                continue
            rows, columns = np.nonzero(mask)
            assert truth.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_visible_fraction_matches_a_render_of_the_single_body() -> None:
    clip = make_clip("crowd", 1, 320, 240)
    partly_hidden = 0
    for index in (0, 15, 30, 45):
        shot = clip.scene.render(index)
        for number, truth in shot.bodies.items():
            single = Scene((clip.scene.bodies[number - 1],), 320, 240).render(index).bodies[1]
            if single.fraction < 0.99:  # not fully inside the image
                continue
            assert truth.fraction == pytest.approx(truth.visible / single.visible, abs=0.05)
            partly_hidden += 0 < truth.fraction < 0.9
    assert partly_hidden > 0, "the clip must contain partly hidden bodies"


@pytest.mark.parametrize("shape", SHAPES)
def test_true_extent_matches_the_painted_pixels(shape: str) -> None:
    """cv2 paints half a pixel beyond the outline on every side, a tenth of the width of a small body. The truth must include it."""
    size_errors, fractions = [], []
    for number in range(40):
        body = Body("red", shape, (0.5 + 0.003 * number, 0.5), amplitude=(0.0, 0.0), radius_m=0.06 + 0.004 * number, rotation=0.37 * number)
        scene = Scene((body,), 320, 240)
        shot = scene.render(0)
        truth = shot.bodies[1]
        assert truth.box is not None
        x1, y1, x2, y2 = truth.box
        pixels = np.array(truth.extent[:2]) * scene.camera.fx / truth.center[2]
        size_errors += [*(np.array((x2 - x1, y2 - y1)) - pixels)]
        fractions.append(truth.fraction)
    assert abs(np.mean(size_errors)) < 0.2, "pixels"
    assert np.mean(fractions) > 0.97


def test_part_outside_the_image_counts_as_hidden() -> None:
    bodies = (Body("red", "square", (0.0, 0.5)), Body("blue", "square", (1.0, 0.0)), Body("cyan", "star", (-1.0, 0.5)))
    truth = Scene(bodies).render(0).bodies
    assert truth[1].fraction == pytest.approx(0.5, abs=0.02)
    assert truth[2].fraction == pytest.approx(0.25, abs=0.02)
    assert (truth[3].visible, truth[3].fraction, truth[3].box) == (0, 0.0, None)


def unproject(scene: Scene, shot: SceneFrame, number: int) -> NDArray[np.float64]:
    """Return points [N, 3] in meters of a body's pixels with known depth."""
    rows, columns = np.nonzero((shot.instances == number) & (shot.depth_mm > 0))
    z = shot.depth_mm[rows, columns] / 1000.0
    camera = scene.camera
    return np.column_stack([(columns - camera.cx) * z / camera.fx, (rows - camera.cy) * z / camera.fy, z])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relief", [0.0, 0.07])
def test_true_center_and_extent_match_the_depth_image(shape: str, relief: float) -> None:
    """The truth is the bounding box of the unprojected pixels.

    Tolerances cover sensor noise (a standard deviation of 6 mm at 2 m, at most 4 of them) and the missing pixels at edges.
    """
    body = Body("red", shape, (0.63, 0.41), radius_m=0.24, depth_m=2.0, rotation=0.4, aspect_ratio=1.15, relief_m=relief)
    scene = Scene((body,))
    shot = scene.render(3)
    points, truth = unproject(scene, shot, 1), shot.bodies[1]
    low, high = points.min(axis=0), points.max(axis=0)
    np.testing.assert_allclose(truth.center[:2], ((low + high) / 2)[:2], atol=0.015)
    np.testing.assert_allclose(truth.extent[:2], (high - low)[:2], atol=0.03)
    assert truth.center[2] - truth.extent[2] / 2 == pytest.approx(low[2], abs=0.03)
    assert truth.center[2] + truth.extent[2] / 2 == pytest.approx(high[2], abs=0.03)


def test_true_box_contains_the_visible_surface_on_clips() -> None:
    """Bodies of clips change their distance; where a body is fully visible, its surface must lie in the true box."""
    checked = 0
    for seed in range(3):
        scene = make_clip("easy", seed, 320, 240).scene
        for index in (0, 30, 59):
            shot = scene.render(index)
            for number, truth in shot.bodies.items():
                if truth.fraction < 0.99:
                    continue
                points = unproject(scene, shot, number)
                noise = 0.0015 * truth.center[2] ** 2 * 4 + 0.002
                tolerance = np.array([0.015, 0.015, noise])
                outside = (np.abs(points - truth.center) > np.array(truth.extent) / 2 + tolerance).any(axis=1)
                assert outside.mean() < 0.01
                checked += 1
    assert checked > 5


def test_relief_bulges_towards_the_camera() -> None:
    flat, bulging = (Scene((Body("red", "circle", radius_m=0.4, depth_m=2.0, relief_m=relief),)).render(0) for relief in (0.0, 0.12))
    assert np.array_equal(flat.instances, bulging.instances)

    def depth(shot: SceneFrame, row: int, column: int) -> float:
        patch = shot.depth_mm[row - 4 : row + 5, column - 4 : column + 5]
        return float(np.median(patch[patch > 0])) / 1000

    radius = 0.4 * 0.95 * 640 / 2.0
    assert depth(bulging, 240, 320) == pytest.approx(2.0 - 0.12, abs=0.006)
    assert depth(bulging, 240, 320 + round(radius / 2)) == pytest.approx(2.0 - 0.12 * 0.75, abs=0.006)
    assert depth(flat, 240, 320) == pytest.approx(2.0, abs=0.006)


def test_ground_truth_moves_with_the_camera() -> None:
    """A shift of the camera shifts masks, boxes and centers; a roll rotates centers around the optical axis."""
    body = Body("red", "square", (0.4, 0.5), depth_m=2.0)
    still = Scene((body,)).render(0)
    path = np.array([[0.1, -0.05, 0.0], [0.0, 0.0, np.pi / 2]])
    scene = Scene((body,), style=SceneStyle(camera_path=path))
    shifted, rolled = scene.render(0), scene.render(1)
    assert np.array_equal(shifted.instances, np.roll(still.instances, (-24, 64), axis=(0, 1)))
    x1, y1, x2, y2 = still.bodies[1].box or (0, 0, 0, 0)
    assert shifted.bodies[1].box == (x1 + 64, y1 - 24, x2 + 64, y2 - 24)
    x, y, z = still.bodies[1].center
    fx = scene.camera.fx
    np.testing.assert_allclose(shifted.bodies[1].center, (x + 64 * z / fx, y - 24 * z / fx, z), atol=1e-6)
    np.testing.assert_allclose(np.abs(rolled.bodies[1].center), (abs(y), abs(x), z), atol=2e-3)
    np.testing.assert_allclose(unproject(scene, rolled, 1).mean(axis=0), rolled.bodies[1].center, atol=0.01)


def test_pillar_occludes_and_has_no_label() -> None:
    scene = Scene((Body("red", "circle", (0.5, 0.5), depth_m=2.0), Body("", PILLAR, (0.5, 0.5), radius_m=0.2, depth_m=1.0)))
    shot = scene.render(0)
    assert not shot.instances.any()
    assert set(shot.bodies) == {1}
    assert shot.bodies[1].box is None
    assert np.median(shot.depth_mm[:, 320][shot.depth_mm[:, 320] > 0]) == pytest.approx(1000, abs=10)


def test_body_exists_from_first_to_last_and_path_is_followed_back() -> None:
    path = np.column_stack([np.linspace(0.2, 0.8, 5), np.full(5, 0.5), np.full(5, 2.0)])
    scene = Scene((Body("red", "circle", path=path), Body("blue", "circle", first=2, last=4)), 160, 120, length=5)
    assert [sorted(scene.render(index).bodies) for index in range(6)] == [[1], [1], [1, 2], [1, 2], [1], [1]]
    centers = [scene.render(index).bodies[1].center for index in range(9)]
    assert centers[5:] == centers[3::-1], "the path is followed to its end and back without a jump"
