# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pixels of two objects go to the one whose colour they have, and to nobody where colours do not tell."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.color_model import ColorModel
from lang2segtrack_ros.identity.overlap_split import split_overlap

Color = tuple[int, int, int]
GREEN: Color = (60, 160, 70)
WHITE: Color = (240, 240, 240)
PALE: Color = (66, 170, 76)  # as near as two objects of one label that a person can still tell apart
NOISE = 12.0


def painted(masks: list[NDArray[np.bool_]], colors: list[Color], noise: float = NOISE, gain: float = 1.0) -> NDArray[np.uint8]:
    """Later ones in front."""
    image = np.full((*masks[0].shape, 3), 100.0)
    for mask, color in zip(masks, colors):
        image[mask] = color
    image = gain * (image + np.random.default_rng(3).normal(0, noise, image.shape))
    return image.clip(0, 255).astype(np.uint8)


def disc(x: int, scale: int = 1) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: 120 * scale, : 160 * scale]
    return np.asarray((columns - x * scale) ** 2 + (rows - 60 * scale) ** 2 < (20 * scale) ** 2)


def model(mask: NDArray[np.bool_], image: NDArray[np.uint8], exposure: float = 0.0) -> ColorModel:
    """As it is learnt from an image on which it is alone."""
    learnt = ColorModel()
    learnt.update(image, mask, exposure)
    assert learnt.samples
    return learnt


def plain(mask: NDArray[np.bool_], color: Color) -> ColorModel:
    return model(mask, painted([mask], [color]))


def shares(ownership: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Parts of a mask that the first one gets, and the second one."""
    return float((ownership[mask] > 0.5).mean()), float((ownership[mask] < -0.5).mean())


@pytest.mark.parametrize("scale", [1, 4])
def test_near_colours_are_told_apart_below_the_noise(scale: int) -> None:
    """A pixel says nothing, a cell does; at any size of image."""
    behind, front = disc(70, scale), disc(90, scale)
    image = painted([behind, front], [GREEN, PALE])
    ownership = split_overlap(image, behind | front, (plain(behind, GREEN), plain(front, PALE)), 0.0)
    mine, others = shares(ownership, behind & ~front)
    assert mine > 0.6, "all but the rim between the two"
    assert others < 0.1
    mine, others = shares(ownership, front)
    assert others > 0.8
    assert mine < 0.1


def test_something_small_before_something_large_takes_no_longer() -> None:
    """A cup before a wardrobe: cells of a tenth of the cup would be tens of thousands."""
    wardrobe = np.zeros((960, 1280), bool)
    wardrobe[10:950, 10:1270] = True
    cup = np.zeros_like(wardrobe)
    cup[400:420, 600:620] = True
    image = painted([wardrobe, cup], [GREEN, WHITE])
    models = plain(wardrobe, GREEN), plain(cup, WHITE)
    with mock.patch.object(ColorModel, "density", autospec=True, side_effect=ColorModel.density) as density:
        ownership = split_overlap(image, wardrobe, models, 0.0)
    assert max(len(call.args[1]) for call in density.call_args_list) <= 4100
    assert shares(ownership, wardrobe & ~cup)[0] > 0.9


def test_light_that_has_changed_is_allowed_for() -> None:
    """Dimmed by a tenth, the paler one is as dark as the other was; the light says how much that is."""
    behind, front = disc(70), disc(90)
    image = painted([behind, front], [GREEN, PALE], gain=0.9)
    models = plain(behind, GREEN), plain(front, PALE)
    assert shares(split_overlap(image, behind | front, models, float(np.log(0.9))), front)[1] > 0.8
    assert shares(split_overlap(image, behind | front, models, 0.0), front)[1] < 0.2


def test_one_colour_decides_nothing() -> None:
    behind, front = disc(70), disc(90)
    image = painted([behind, front], [GREEN, GREEN])
    ownership = split_overlap(image, behind | front, (plain(behind, GREEN), plain(front, GREEN)), 0.0)
    assert max(shares(ownership, behind | front)) < 0.05


def test_an_object_of_many_colours_keeps_them() -> None:
    """Its mean is nobody's colour: a printed box must not lose its green half to a green cup in front of it."""
    behind, front = disc(70), disc(90)
    patches = behind & (np.indices(behind.shape)[1] // 10 % 2 == 0)
    image = painted([behind, patches, front], [GREEN, WHITE, PALE], 5.0)
    printed = model(behind, painted([behind, patches], [GREEN, WHITE], 5.0))
    ownership = split_overlap(image, behind | front, (printed, plain(front, PALE)), 0.0)
    assert shares(ownership, behind & ~front)[1] < 0.05
    assert shares(ownership, patches & ~front)[0] > 0.5
    assert shares(ownership, front)[0] < 0.05


def test_what_neither_has_is_left_alone() -> None:
    """A hand before both, which no track covers."""
    behind, front = disc(70), disc(90)
    image = painted([behind | front], [(200, 120, 90)])
    assert max(shares(split_overlap(image, behind | front, (plain(behind, GREEN), plain(front, PALE)), 0.0), behind | front)) < 0.05


def test_a_few_pixels_say_nothing_and_no_pixels_have_no_owner() -> None:
    empty = np.zeros((40, 40), bool)
    few = empty.copy()
    few[3:6, 3:6] = True
    image = painted([few], [GREEN])
    unknown = ColorModel()
    for mask in (empty, few):
        unknown.update(image, mask, 0.0)
        assert not unknown.samples
    assert not split_overlap(image, few, (plain(disc(50), GREEN), unknown), 0.0).any()
    for mask in (empty, few):
        assert not split_overlap(image, mask, (plain(disc(50), GREEN), plain(disc(50), PALE)), 0.0).any()
