# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of everyday things agree with their truth."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.families import FAMILIES, HELD_OUT_THINGS, THINGS_FAMILY
from lang2segtrack_ros.toyworld.scene import Scene, tabletop_scene
from lang2segtrack_ros.toyworld.suites import SUITES, make_clip, make_still
from lang2segtrack_ros.toyworld.things.atlas import load_sprite
from lang2segtrack_ros.toyworld.things.names import THINGS
from lang2segtrack_ros.toyworld.walls import SceneStyle

STYLE = SceneStyle(noise=0.0, surface=True)


def one(name: str, style: SceneStyle = STYLE, **values: object) -> Scene:
    """Return a scene of one thing in the middle, 100 pixels in radius."""
    body = Body("", name, (0.5, 0.5), radius_m=0.329, depth_m=2.0, color_gain=(1.0, 1.0, 1.0))
    return Scene((replace(body, **values),), style=style)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(THINGS))
def test_silhouette_color_and_truth_agree(name: str) -> None:
    """Each drawing has its size, covers the pixels of its truth, and differs from the surface behind it there."""
    scene = one(name)
    shot, sprite = scene.render(0), load_sprite(name)
    inside = shot.instances == 1
    truth = shot.bodies[1]
    assert truth.label == name
    assert truth.fraction == pytest.approx(1.0, abs=0.02)
    assert inside.sum() == pytest.approx(sprite.area * 100**2, rel=0.03)
    assert truth.box is not None
    assert max(truth.box[2] - truth.box[0], truth.box[3] - truth.box[1]) == pytest.approx(200, abs=3)
    empty = Scene((), style=STYLE).render(0)
    change = np.abs(shot.color.astype(int) - empty.color).sum(axis=2)
    assert change[inside].mean() > 30 > change[~inside].mean() * 10


def test_extent_is_metric() -> None:
    """A turned thing has the extent of its turned outline, in meters."""
    shot = one("hammer", rotation=0.7).render(0)
    box, truth = shot.bodies[1].box, shot.bodies[1]
    assert box is not None
    fx = Scene(()).camera.fx
    assert truth.extent[0] == pytest.approx((box[2] - box[0]) * 2.0 / fx, rel=0.03)
    assert truth.extent[1] == pytest.approx((box[3] - box[1]) * 2.0 / fx, rel=0.03)


def test_tilt_shortens_and_is_perspective() -> None:
    """Turned about the vertical axis, the near side is larger than the far side."""
    flat, tilted = (one("red book", tilt=(angle, 0.0)).render(0).instances == 1 for angle in (0.0, 0.9))
    widths = [int(mask.any(axis=0).sum()) for mask in (flat, tilted)]
    assert widths[1] == pytest.approx(widths[0] * np.cos(0.9), rel=0.12)
    columns = np.flatnonzero(tilted.any(axis=0))
    left, right = (int(tilted[:, column].sum()) for column in (columns[0] + 4, columns[-1] - 4))
    assert abs(left - right) > 6


def test_depth_is_a_bulge() -> None:
    """The middle of an apple is nearer than its rim."""
    shot = one("red apple", relief_m=0.1).render(0)
    inside = (shot.instances == 1) & (shot.depth_mm > 0)
    assert shot.depth_mm[inside].min() == pytest.approx(1900, abs=25)
    assert np.percentile(shot.depth_mm[inside], 98) == pytest.approx(1990, abs=25)


def test_shadow_darkens_the_table_and_is_no_part_of_the_thing() -> None:
    with_shadow = one("lemon", replace(STYLE, shadow=0.5, light=(0.3, 0.3))).render(0)
    without = one("lemon").render(0)
    assert np.array_equal(with_shadow.instances, without.instances)
    darker = with_shadow.color.astype(int).sum(axis=2) < without.color.astype(int).sum(axis=2) - 15
    middle = cv2.erode((without.instances == 1).astype(np.uint8), np.ones((5, 5))) > 0
    assert darker[middle].mean() < 0.01, "the glossy parts of the drawing let a little of the table through"
    assert 500 < darker.sum() < 60_000


def test_motion_blur_follows_the_motion() -> None:
    """A thing that moves to the right is blurred along the rows only."""
    path = np.column_stack([np.linspace(0.3, 0.9, 20), np.full(20, 0.5), np.full(20, 2.0)])
    sharp, blurred = (one("die", replace(STYLE, exposure=value), path=path, radius_m=0.15).render(8) for value in (0.0, 1.0))
    gradients = [
        [np.abs(np.diff(shot.color.astype(int).sum(axis=2), axis=axis))[200:280, 300:440].mean() for axis in (0, 1)]
        for shot in (sharp, blurred)
    ]
    assert gradients[1][1] < 0.75 * gradients[0][1]
    assert gradients[1][0] > 0.75 * gradients[0][0]


def test_apple_of_the_demo_hides_and_returns() -> None:
    """It is fully hidden for a while, and visible before and after."""
    scene = tabletop_scene(320, 240)
    fractions = [scene.render(index).bodies[3].fraction for index in range(0, 140, 4)]
    hidden = [index for index, fraction in enumerate(fractions) if fraction == 0]
    assert len(hidden) >= 3
    assert max(fractions[: hidden[0]]) > 0.95
    assert max(fractions[hidden[-1] :]) > 0.95


@pytest.mark.parametrize("suite", list(SUITES))
def test_each_suite_exists_in_each_family(suite: str) -> None:
    """Clips of one seed differ between the families, have their labels only, and are the same each time."""
    clips = {name: make_clip(suite, 3, 160, 120, family) for name, family in FAMILIES.items()}
    assert set(clips["things"].scene.labels) <= set(THINGS)
    assert not set(clips["shapes"].scene.labels) & set(THINGS)
    again = make_clip(suite, 3, 160, 120, THINGS_FAMILY)
    assert np.array_equal(again.scene.render(20).color, clips["things"].scene.render(20).color)
    assert clips["things"].prompts


def test_held_out_clips_show_held_out_things() -> None:
    names = {label for seed in range(6) for label in make_clip("crowd", seed, 160, 120, HELD_OUT_THINGS).scene.labels}
    assert len(names) > 10
    assert all(THINGS[name].is_held_out for name in names)


def test_surfaces_differ_and_stay_in_range() -> None:
    """Twenty stills have tables of different mean color, and none is black or white all over."""
    means = np.array([make_still(seed, family=THINGS_FAMILY).scene.render(0).color.mean(axis=(0, 1)) for seed in range(20)])
    assert means.std(axis=0).min() > 15
    assert 15 < means.min() <= means.max() < 250
