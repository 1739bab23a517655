# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A pixel of two overlapping objects belongs to the object of its color, and stays undecided where the color is ambiguous."""

from __future__ import annotations

import math
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.color_model import ColorModel, rgb_to_lab
from lang2segtrack_ros.identity.overlap_split import split_overlap

Color = tuple[int, int, int]
GREEN: Color = (60, 160, 70)
WHITE: Color = (240, 240, 240)
PALE: Color = (66, 170, 76)  # close to GREEN; a person can still distinguish two objects of one label with this difference
NOISE = 12.0


def painted(masks: list[NDArray[np.bool_]], colors: list[Color], noise: float = NOISE, gain: float = 1.0) -> NDArray[np.uint8]:
    """Return an image in which later masks are in front of earlier ones."""
    image = np.full((*masks[0].shape, 3), 100.0)
    for mask, color in zip(masks, colors):
        image[mask] = color
    image = gain * (image + np.random.default_rng(3).normal(0, noise, image.shape))
    return image.clip(0, 255).astype(np.uint8)


def disc(x: int, scale: int = 1) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: 120 * scale, : 160 * scale]
    return np.asarray((columns - x * scale) ** 2 + (rows - 60 * scale) ** 2 < (20 * scale) ** 2)


def model(mask: NDArray[np.bool_], image: NDArray[np.uint8], exposure: float = 0.0) -> ColorModel:
    """Return the color model from one image that shows the object alone."""
    color_model = ColorModel().updated(image, mask, exposure)
    assert color_model.samples
    return color_model


def model_of_color(mask: NDArray[np.bool_], color: Color) -> ColorModel:
    return model(mask, painted([mask], [color]))


def owned_ratios(ownership: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the ratios of a mask that the first and the second object own."""
    return float((ownership[mask] > 0.5).mean()), float((ownership[mask] < -0.5).mean())


@pytest.mark.parametrize("scale", [1, 4])
def test_similar_colors_are_split_below_the_noise(scale: int) -> None:
    """A single pixel is ambiguous, but a cell is not, at any image size."""
    behind, front = disc(70, scale), disc(90, scale)
    image = painted([behind, front], [GREEN, PALE])
    ownership = split_overlap(image, behind | front, (model_of_color(behind, GREEN), model_of_color(front, PALE)), 0.0)
    first, second = owned_ratios(ownership, behind & ~front)
    assert first > 0.6, "only the rim between both objects may stay undecided"
    assert second < 0.1
    first, second = owned_ratios(ownership, front)
    assert second > 0.8
    assert first < 0.1


def test_number_of_cells_is_limited_for_small_object_before_large_object() -> None:
    """For a cup in front of a wardrobe, cells of a tenth of the cup would number tens of thousands."""
    wardrobe = np.zeros((960, 1280), bool)
    wardrobe[10:950, 10:1270] = True
    cup = np.zeros_like(wardrobe)
    cup[400:420, 600:620] = True
    image = painted([wardrobe, cup], [GREEN, WHITE])
    models = model_of_color(wardrobe, GREEN), model_of_color(cup, WHITE)
    with mock.patch.object(ColorModel, "density", autospec=True, side_effect=ColorModel.density) as density:
        ownership = split_overlap(image, wardrobe, models, 0.0)
    assert max(len(call.args[1]) for call in density.call_args_list) <= 4100
    assert owned_ratios(ownership, wardrobe & ~cup)[0] > 0.9


def test_change_of_exposure_is_compensated() -> None:
    """Dimmed by a tenth, the paler object is as dark as the other object was. The exposure gives the amount of the change."""
    behind, front = disc(70), disc(90)
    image = painted([behind, front], [GREEN, PALE], gain=0.9)
    models = model_of_color(behind, GREEN), model_of_color(front, PALE)
    assert owned_ratios(split_overlap(image, behind | front, models, float(np.log(0.9))), front)[1] > 0.8
    assert owned_ratios(split_overlap(image, behind | front, models, 0.0), front)[1] < 0.2


def test_objects_of_one_color_stay_undecided() -> None:
    behind, front = disc(70), disc(90)
    image = painted([behind, front], [GREEN, GREEN])
    ownership = split_overlap(image, behind | front, (model_of_color(behind, GREEN), model_of_color(front, GREEN)), 0.0)
    assert max(owned_ratios(ownership, behind | front)) < 0.05


def test_object_of_several_colors_keeps_all_of_them() -> None:
    """The mean color of a printed box occurs nowhere on it. The box must not lose its green half to a green cup in front of it."""
    behind, front = disc(70), disc(90)
    patches = behind & (np.indices(behind.shape)[1] // 10 % 2 == 0)
    image = painted([behind, patches, front], [GREEN, WHITE, PALE], 5.0)
    printed = model(behind, painted([behind, patches], [GREEN, WHITE], 5.0))
    ownership = split_overlap(image, behind | front, (printed, model_of_color(front, PALE)), 0.0)
    assert owned_ratios(ownership, behind & ~front)[1] < 0.05
    assert owned_ratios(ownership, patches & ~front)[0] > 0.5
    assert owned_ratios(ownership, front)[0] < 0.05


def test_color_of_neither_object_stays_undecided() -> None:
    """A hand without a track may cover both objects."""
    behind, front = disc(70), disc(90)
    image = painted([behind | front], [(200, 120, 90)])
    assert (
        max(
            owned_ratios(
                split_overlap(image, behind | front, (model_of_color(behind, GREEN), model_of_color(front, PALE)), 0.0), behind | front
            )
        )
        < 0.05
    )


def test_tiny_and_empty_masks_have_no_owner() -> None:
    empty = np.zeros((40, 40), bool)
    few = empty.copy()
    few[3:6, 3:6] = True
    image = painted([few], [GREEN])
    unknown = ColorModel()
    for mask in (empty, few):
        assert unknown.updated(image, mask, 0.0) is unknown
    assert not split_overlap(image, few, (model_of_color(disc(50), GREEN), unknown), 0.0).any()
    for mask in (empty, few):
        assert not split_overlap(image, mask, (model_of_color(disc(50), GREEN), model_of_color(disc(50), PALE)), 0.0).any()


def test_density_equals_the_plain_kernel_density() -> None:
    """The colors of a model are converted once for each exposure, and the sums work in place."""
    known = model(disc(70), painted([disc(70)], [GREEN])).updated(painted([disc(90)], [PALE]), disc(90), 0.1)
    lab = rgb_to_lab(np.random.default_rng(4).uniform(0, 255, (1, 50, 3)).astype(np.float32))[0]
    for exposure in (0.0, 0.2, 0.0):
        samples = rgb_to_lab(np.concatenate([rgb * math.exp(exposure - before) for rgb, before in known.samples])[None])[0]
        squared = (lab**2).sum(-1)[:, None] + (samples**2).sum(-1) - 2 * (lab @ samples.T)
        expected = np.exp(squared / (-2 * 2.5**2)).mean(-1)
        np.testing.assert_array_equal(known.density(lab, exposure), expected)
