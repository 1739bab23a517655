# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Positions and extents of surfaces with known truth: centre within 2 cm or 2 %, extent within 15 %, whatever the camera does to them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.geometry.surface import Surface, measure
from test.geometry.surfaces import CAMERA, Hit, View, ball, card, look, spoil

SURFACES = {
    "card": lambda z: card((0.1 * z, -0.05 * z, z), 0.30, 0.20),
    "turned card": lambda z: card((-0.1 * z, 0.1 * z, z), 0.35, 0.25, 0.9),
    "ball": lambda z: ball((0.15 * z, 0.05 * z, z), 0.15),
    "pole": lambda z: card((0.0, 0.0, z), 0.06, 0.60),
}


def found(view: View, *others: np.ndarray) -> Surface:
    surface = measure(view.mask, view.box, view.depth, CAMERA, others)
    assert surface is not None
    return surface


def check(surface: Surface, view: View, extent: float = 0.15) -> None:
    tolerance = max(0.02, 0.02 * view.centre[2])
    assert np.linalg.norm(np.array(surface.centre) - view.centre) <= tolerance
    assert np.abs(np.array(surface.size[:2]) / view.size[:2] - 1).max() <= extent
    # The rim of a round thing is seen at a grazing angle and lost among flying pixels, and with it up to half of its depth.
    # What noise adds to depth at 4 m (2.4 cm standard deviation) is left.
    noise = max(0.02, 0.03 * view.centre[2])
    assert 0.5 * view.size[2] - noise <= surface.size[2] <= (1 + extent) * view.size[2] + noise
    middle = np.array(surface.middle)
    assert np.linalg.norm(middle - np.array(surface.centre)) <= np.linalg.norm(surface.size), "the centre lies in or near the box"


@pytest.mark.parametrize("name", SURFACES)
def test_perfect_views_are_measured_exactly(name: str) -> None:
    """No noise, no tolerance but the pixels': shows a bias that noise would hide."""
    view = look(SURFACES[name](2.0))
    surface = found(view)
    assert np.linalg.norm(np.array(surface.centre) - view.centre) < 0.003
    assert np.abs(np.array(surface.size[:2]) / view.size[:2] - 1).max() < 0.025  # the rim of the ball
    assert surface.coverage > 0.6


@pytest.mark.parametrize("distance", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("name", SURFACES)
def test_real_cameras_errors(name: str, distance: float) -> None:
    """Noise, holes, flying pixels and a ragged mask together; a pole at 3 m is 12 pixels wide, so a pixel of mask is 8 %."""
    clean = look(SURFACES[name](distance))
    pixel = distance / CAMERA.fx / clean.size[:2].min()
    for seed in range(8):
        view = spoil(clean, seed)
        check(found(view), view, extent=max(0.15, 3.5 * pixel))  # of mask on both sides, one that flies, and rounding


def test_a_mask_that_leaks_onto_the_wall() -> None:
    view = spoil(look(SURFACES["card"](1.5)), 1)
    leaked = view.mask.copy()
    y1, y2, x2 = int(view.box[1]), int(view.box[3]), int(view.box[2])
    leaked[y1:y2, x2 : x2 + 40] = True  # a third of the mask is wall
    check(found(replace(view, mask=leaked)), view)


def test_what_a_mask_cuts_off_is_taken_in() -> None:
    """A coarse mask lacks an object's outermost tenth; depth has it."""
    for seed in range(4):
        view = spoil(look(SURFACES["card"](1.5)), seed, mask_error=0)
        tight = cv2.erode(view.mask.astype(np.uint8), np.ones((9, 13), np.uint8)).astype(bool)
        assert np.ptp(np.nonzero(tight)[0]) < 0.93 * np.ptp(np.nonzero(view.mask)[0])
        check(found(replace(view, mask=tight)), view, extent=0.04)


def test_long_tips_are_taken_in() -> None:
    """The mask lacks a cross's arms but for stumps, more than a third of its width; they end in the air."""
    view = look(lambda ray: np.minimum(card((0.0, 0.0, 1.5), 0.30, 0.06)(ray), card((0.0, 0.0, 1.5), 0.06, 0.30)(ray)))
    x1, y1, x2, y2 = map(int, view.box)
    stumps = np.zeros_like(view.mask)
    inner = np.s_[y1 + (y2 - y1) // 5 : y2 - (y2 - y1) // 5, x1 + (x2 - x1) // 5 : x2 - (x2 - x1) // 5]
    stumps[inner] = view.mask[inner]
    check(found(replace(view, mask=stumps)), view, extent=0.02)
    for seed in range(4):
        spoilt = spoil(view, seed, mask_error=0)
        check(found(replace(spoilt, mask=stumps)), view)


def test_another_object_is_not_taken_in() -> None:
    """A small thing that touches a large one, as far away as that, is the large one's tip to depth; its own mask says that it is not."""
    large, small = card((0.0, 0.0, 1.5), 0.3, 0.2), card((0.18, 0.0, 1.5), 0.06, 0.06)
    view, beside = look(large), look(small)
    both = np.minimum(view.depth, beside.depth)
    assert found(replace(view, depth=both)).size[0] == pytest.approx(0.36, rel=0.03)
    assert found(replace(view, depth=both), beside.mask).size[0] == pytest.approx(0.30, rel=0.03)
    # Of a mask that leaked from elsewhere onto a tip, only a little is there.
    leaked = np.zeros_like(beside.mask)
    leaked[:, beside.mask.any(0)] = True
    assert found(replace(view, depth=both), leaked).size[0] == pytest.approx(0.36, rel=0.03)


def standing(height: float = 0.3) -> View:
    """A card that stands on a table, seen from above it: below, depth goes on without a jump."""
    view = look(card((0.0, 0.0, 1.5), 0.2, height))
    table = np.where(rays(CAMERA)[..., 1] > 0, height / 2 / np.maximum(rays(CAMERA)[..., 1], 1e-6), np.inf)
    return replace(view, depth=np.minimum(view.depth, table).astype(np.float32))


def test_what_an_object_stands_on_is_not_taken_in() -> None:
    view = standing()
    bottom = int(view.box[3])
    assert abs(view.depth[bottom + 1, 320] - 1.5) < 0.03, "the table begins where the card ends"
    check(found(view), view, extent=0.02)
    for seed in range(4):
        check(found(spoil(view, seed)), view, extent=0.1)


def test_what_an_object_leans_against_is_not_taken_in() -> None:
    """Two boxes side by side, and the mask of one."""
    view = spoil(look(SURFACES["card"](1.5)), 1, mask_error=0)
    x1, _, x2, _ = map(int, view.box)
    half = view.mask.copy()
    half[:, (x1 + x2) // 2 :] = False
    assert found(replace(view, mask=half)).size[0] == pytest.approx(view.size[0] / 2, rel=0.05)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
def test_mostly_holes(share: float) -> None:
    view = spoil(look(SURFACES["card"](1.5)), 2, holes=share)
    check(found(view), view)


def test_one_half_without_depth() -> None:
    """A shiny half: the mask says where the object is, the other half how far."""
    view = spoil(look(SURFACES["card"](1.5)), 3)
    x1, x2 = int(view.box[0]), int(view.box[2])
    view.depth[:, x1 : (x1 + x2) // 2] = np.nan
    check(found(view), view)


@pytest.mark.parametrize("size", [(320, 240), (160, 120), (1280, 960)])
def test_depth_of_another_size(size: tuple[int, int]) -> None:
    """The same view in fewer or more pixels; at a quarter, a pixel of depth is 3 % of the card."""
    view = spoil(look(SURFACES["card"](1.5)), 4)
    resized = cv2.resize(view.depth, size, interpolation=cv2.INTER_NEAREST)
    check(found(replace(view, depth=resized)), view)


def test_large_masks_are_thinned_not_misjudged() -> None:
    view = spoil(look(card((0.0, 0.0, 1.0), 0.9, 0.7)), 5)
    surface = found(view)
    check(surface, view, extent=0.03)
    assert len(surface.points) <= 12_000


def test_points_lie_on_the_object_and_know_their_pixels() -> None:
    view = spoil(look(SURFACES["ball"](1.5)), 6)
    surface = found(view)
    centre = np.array([0.15 * 1.5, 0.05 * 1.5, 1.5])
    distance = np.linalg.norm(surface.points - centre, axis=1)
    assert np.abs(distance - 0.15).max() < 0.05, "no flying point and none of the wall"
    assert view.mask[surface.pixels[:, 0], surface.pixels[:, 1]].all()
    assert np.allclose(surface.points[:, 2], view.depth[surface.pixels[:, 0], surface.pixels[:, 1]])


def test_distortion_is_undone() -> None:
    """A lens that bends straight lines moves things near the border: by 2 cm here, if nobody undid it."""
    for lens in ({"distortion": (-0.28, 0.07, 0.0, 0.0, 0.0)}, {"distortion": (0.05, 0.01, 0.0, 0.0), "fisheye": True}):
        camera = replace(CAMERA, **lens)
        view = look(card((0.45, 0.3, 1.5), 0.3, 0.2), camera)
        surface = measure(view.mask, view.box, view.depth, camera)
        assert surface is not None
        assert np.allclose(surface.centre, (0.45, 0.3, 1.5), atol=0.005)
        assert np.allclose(surface.size[:2], (0.3, 0.2), rtol=0.05)
        naive = measure(view.mask, view.box, view.depth, CAMERA)
        assert naive is not None
        assert not np.allclose(naive.centre, (0.45, 0.3, 1.5), atol=0.01)


@pytest.mark.parametrize(
    "empty",
    [
        lambda depth, mask: np.full_like(depth, np.nan),
        lambda depth, mask: np.where(mask & (np.arange(depth.size).reshape(depth.shape) % 40 > 0), np.nan, depth),
        lambda depth, mask: np.where(np.cumsum(mask.ravel()).reshape(mask.shape) <= 9, depth, np.nan),
    ],
    ids=["nothing", "every fortieth pixel", "nine pixels"],
)
def test_too_little_depth_gives_nothing(empty: object) -> None:
    view = look(SURFACES["card"](2.0))
    assert callable(empty)
    assert measure(view.mask, view.box, empty(view.depth, view.mask).astype(np.float32), CAMERA) is None


@pytest.mark.parametrize(
    "hit", [card((0.0, 0.0, 1.0), 0.003, 0.003), card((-0.5 / 610, 0.0, 1.0), 0.0015, 0.3)], ids=["2 x 2 pixels", "one column"]
)
def test_tiny_masks_do_not_break(hit: Hit) -> None:
    view = look(hit)
    surface = measure(view.mask, view.box, view.depth, CAMERA)
    assert surface is None or abs(surface.centre[2] - 1.0) < 0.02


def test_an_object_at_the_border_of_the_image() -> None:
    view = spoil(look(card((-0.52, 0.0, 1.0), 0.3, 0.3)), 7)
    assert view.box[0] == 0
    check(found(view), view)
