# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Position and extent of surfaces with known geometry: center within 2 cm or 2 %, extent within 15 %, despite camera errors."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.geometry.surface import Surface, measure
from test.geometry.surfaces import CAMERA, Hit, View, add_errors, ball, card, render

SURFACES = {
    "card": lambda z: card((0.1 * z, -0.05 * z, z), 0.30, 0.20),
    "turned card": lambda z: card((-0.1 * z, 0.1 * z, z), 0.35, 0.25, 0.9),
    "ball": lambda z: ball((0.15 * z, 0.05 * z, z), 0.15),
    "pole": lambda z: card((0.0, 0.0, z), 0.06, 0.60),
}


def measured(view: View, *others: np.ndarray) -> Surface:
    surface = measure(view.mask, view.box, view.depth, CAMERA, others)
    assert surface is not None
    return surface


def check_accuracy(surface: Surface, view: View, extent: float = 0.15) -> None:
    tolerance = max(0.02, 0.02 * view.center[2])
    assert np.linalg.norm(np.array(surface.center) - view.center) <= tolerance
    assert np.abs(np.array(surface.size[:2]) / view.size[:2] - 1).max() <= extent
    # The camera sees the rim of a round object at a grazing angle. Flying pixels hide the rim, and with it up to half of the depth extent.
    # Noise at 4 m has a standard deviation of 2.4 cm and adds to the depth extent.
    noise = max(0.02, 0.03 * view.center[2])
    assert 0.5 * view.size[2] - noise <= surface.size[2] <= (1 + extent) * view.size[2] + noise
    box_center = np.array(surface.box_center)
    assert np.linalg.norm(box_center - np.array(surface.center)) <= np.linalg.norm(surface.size), "the center lies in or near the box"


@pytest.mark.parametrize("name", SURFACES)
def test_error_free_views_have_no_bias(name: str) -> None:
    """Without noise, only the pixel size limits the accuracy. A bias that noise would hide becomes visible."""
    view = render(SURFACES[name](2.0))
    surface = measured(view)
    assert np.linalg.norm(np.array(surface.center) - view.center) < 0.003
    assert np.abs(np.array(surface.size[:2]) / view.size[:2] - 1).max() < 0.025  # the rim of the ball
    assert surface.coverage > 0.6


@pytest.mark.parametrize("distance", [1.0, 1.5, 2.0, 3.0, 4.0])
@pytest.mark.parametrize("name", SURFACES)
def test_accuracy_with_the_errors_of_a_real_camera(name: str, distance: float) -> None:
    """Noise, holes, flying pixels and a ragged mask occur together. A pole at 3 m is 12 pixels wide, so one pixel of mask is 8 %."""
    exact = render(SURFACES[name](distance))
    pixel = distance / CAMERA.fx / exact.size[:2].min()
    for seed in range(8):
        view = add_errors(exact, seed)
        check_accuracy(measured(view), view, extent=max(0.15, 3.5 * pixel))  # a mask pixel on both sides, one flying pixel, and rounding


def test_mask_leak_onto_the_wall_is_ignored() -> None:
    view = add_errors(render(SURFACES["card"](1.5)), 1)
    leaked = view.mask.copy()
    y1, y2, x2 = int(view.box[1]), int(view.box[3]), int(view.box[2])
    leaked[y1:y2, x2 : x2 + 40] = True  # a third of the mask lies on the wall
    check_accuracy(measured(replace(view, mask=leaked)), view)


def test_parts_that_the_mask_misses_are_added() -> None:
    """A coarse mask misses the outer tenth of an object, but the depth image shows it."""
    for seed in range(4):
        view = add_errors(render(SURFACES["card"](1.5)), seed, mask_error=0)
        eroded = cv2.erode(view.mask.astype(np.uint8), np.ones((9, 13), np.uint8)).astype(bool)
        assert np.ptp(np.nonzero(eroded)[0]) < 0.93 * np.ptp(np.nonzero(view.mask)[0])
        check_accuracy(measured(replace(view, mask=eroded)), view, extent=0.04)


def test_long_tips_that_the_mask_misses_are_added() -> None:
    """The mask holds only the stumps of a cross's arms and misses more than a third of its width. Nothing touches the arms."""
    view = render(lambda ray: np.minimum(card((0.0, 0.0, 1.5), 0.30, 0.06)(ray), card((0.0, 0.0, 1.5), 0.06, 0.30)(ray)))
    x1, y1, x2, y2 = map(int, view.box)
    stumps = np.zeros_like(view.mask)
    inner = np.s_[y1 + (y2 - y1) // 5 : y2 - (y2 - y1) // 5, x1 + (x2 - x1) // 5 : x2 - (x2 - x1) // 5]
    stumps[inner] = view.mask[inner]
    check_accuracy(measured(replace(view, mask=stumps)), view, extent=0.02)
    for seed in range(4):
        with_errors = add_errors(view, seed, mask_error=0)
        check_accuracy(measured(replace(with_errors, mask=stumps)), view)


def test_another_object_at_the_same_depth_is_not_added() -> None:
    """By depth alone, a small object that touches a large one at the same distance looks like its tip. Its own mask tells them apart."""
    large, small = card((0.0, 0.0, 1.5), 0.3, 0.2), card((0.18, 0.0, 1.5), 0.06, 0.06)
    view, beside = render(large), render(small)
    combined = np.minimum(view.depth, beside.depth)
    assert measured(replace(view, depth=combined)).size[0] == pytest.approx(0.36, rel=0.03)
    assert measured(replace(view, depth=combined), beside.mask).size[0] == pytest.approx(0.30, rel=0.03)
    # A mask of a distant object that leaks onto a tip has only a small part of its pixels there.
    leaked = np.zeros_like(beside.mask)
    leaked[:, beside.mask.any(0)] = True
    assert measured(replace(view, depth=combined), leaked).size[0] == pytest.approx(0.36, rel=0.03)


def card_on_table(height: float = 0.3) -> View:
    """Return a card that stands on a table. Below the card, depth continues without a jump."""
    view = render(card((0.0, 0.0, 1.5), 0.2, height))
    table = np.where(rays(CAMERA)[..., 1] > 0, height / 2 / np.maximum(rays(CAMERA)[..., 1], 1e-6), np.inf)
    return replace(view, depth=np.minimum(view.depth, table).astype(np.float32))


def test_supporting_surface_is_not_added() -> None:
    view = card_on_table()
    bottom = int(view.box[3])
    assert abs(view.depth[bottom + 1, 320] - 1.5) < 0.03, "the table must start where the card ends"
    check_accuracy(measured(view), view, extent=0.02)
    for seed in range(4):
        check_accuracy(measured(add_errors(view, seed)), view, extent=0.1)


def test_adjacent_object_is_not_added() -> None:
    """Two boxes stand side by side, and the mask covers one of them."""
    view = add_errors(render(SURFACES["card"](1.5)), 1, mask_error=0)
    x1, _, x2, _ = map(int, view.box)
    half = view.mask.copy()
    half[:, (x1 + x2) // 2 :] = False
    assert measured(replace(view, mask=half)).size[0] == pytest.approx(view.size[0] / 2, rel=0.05)


@pytest.mark.parametrize("hole_ratio", [0.3, 0.6, 0.8])
def test_accuracy_with_many_holes(hole_ratio: float) -> None:
    view = add_errors(render(SURFACES["card"](1.5)), 2, holes=hole_ratio)
    check_accuracy(measured(view), view)


def test_half_of_the_object_without_depth() -> None:
    """One half is shiny and has no depth. The mask gives the extent, and the other half gives the distance."""
    view = add_errors(render(SURFACES["card"](1.5)), 3)
    x1, x2 = int(view.box[0]), int(view.box[2])
    view.depth[:, x1 : (x1 + x2) // 2] = np.nan
    check_accuracy(measured(view), view)


@pytest.mark.parametrize("size", [(320, 240), (160, 120), (1280, 960)])
def test_depth_may_differ_in_size_from_the_mask(size: tuple[int, int]) -> None:
    """Depth cameras often have another resolution. At a quarter of the size, one depth pixel is 3 % of the card."""
    view = add_errors(render(SURFACES["card"](1.5)), 4)
    resized = cv2.resize(view.depth, size, interpolation=cv2.INTER_NEAREST)
    check_accuracy(measured(replace(view, depth=resized)), view)


def test_large_masks_are_subsampled_without_bias() -> None:
    view = add_errors(render(card((0.0, 0.0, 1.0), 0.9, 0.7)), 5)
    surface = measured(view)
    check_accuracy(surface, view, extent=0.03)
    assert len(surface.points) <= 12_000


def test_points_lie_on_the_object_and_match_their_pixels() -> None:
    view = add_errors(render(SURFACES["ball"](1.5)), 6)
    surface = measured(view)
    center = np.array([0.15 * 1.5, 0.05 * 1.5, 1.5])
    distance = np.linalg.norm(surface.points - center, axis=1)
    assert np.abs(distance - 0.15).max() < 0.05, "no flying pixel and no point of the wall"
    assert view.mask[surface.pixels[:, 0], surface.pixels[:, 1]].all()
    assert np.allclose(surface.points[:, 2], view.depth[surface.pixels[:, 0], surface.pixels[:, 1]])


def test_lens_distortion_is_corrected() -> None:
    """Lens distortion moves objects near the image border: here by 2 cm without correction."""
    for lens in ({"distortion": (-0.28, 0.07, 0.0, 0.0, 0.0)}, {"distortion": (0.05, 0.01, 0.0, 0.0), "fisheye": True}):
        camera = replace(CAMERA, **lens)
        view = render(card((0.45, 0.3, 1.5), 0.3, 0.2), camera)
        surface = measure(view.mask, view.box, view.depth, camera)
        assert surface is not None
        assert np.allclose(surface.center, (0.45, 0.3, 1.5), atol=0.005)
        assert np.allclose(surface.size[:2], (0.3, 0.2), rtol=0.05)
        uncorrected = measure(view.mask, view.box, view.depth, CAMERA)
        assert uncorrected is not None
        assert not np.allclose(uncorrected.center, (0.45, 0.3, 1.5), atol=0.01)


@pytest.mark.parametrize(
    "remove_depth",
    [
        lambda depth, mask: np.full_like(depth, np.nan),
        lambda depth, mask: np.where(mask & (np.arange(depth.size).reshape(depth.shape) % 40 > 0), np.nan, depth),
        lambda depth, mask: np.where(np.cumsum(mask.ravel()).reshape(mask.shape) <= 9, depth, np.nan),
    ],
    ids=["no depth", "every fortieth pixel", "nine pixels"],
)
def test_too_little_depth_gives_no_surface(remove_depth: object) -> None:
    view = render(SURFACES["card"](2.0))
    assert callable(remove_depth)
    assert measure(view.mask, view.box, remove_depth(view.depth, view.mask).astype(np.float32), CAMERA) is None


@pytest.mark.parametrize(
    "hit", [card((0.0, 0.0, 1.0), 0.003, 0.003), card((-0.5 / 610, 0.0, 1.0), 0.0015, 0.3)], ids=["2 x 2 pixels", "one column"]
)
def test_tiny_masks_give_a_correct_surface_or_none(hit: Hit) -> None:
    view = render(hit)
    surface = measure(view.mask, view.box, view.depth, CAMERA)
    assert surface is None or abs(surface.center[2] - 1.0) < 0.02


def test_object_at_the_image_border() -> None:
    view = add_errors(render(card((-0.52, 0.0, 1.0), 0.3, 0.3)), 7)
    assert view.box[0] == 0
    check_accuracy(measured(view), view)
