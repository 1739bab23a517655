# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A region gives the same numbers as its mask on the whole image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import mean_lab_of
from lang2segtrack_ros.identity.association import mask_iou
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.types.rle import mask_box

MASKS = arrays(bool, (12, 16))


def region_of(mask: NDArray[np.bool_]) -> Region:
    region = Region.of(mask)
    assert region is not None
    return region


def rectangle(x1: int, y1: int, x2: int, y2: int) -> NDArray[np.bool_]:
    mask = np.zeros((40, 60), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_empty_mask_has_no_region() -> None:
    assert Region.of(np.zeros((12, 16), bool)) is None


def test_region_is_the_crop_of_the_mask_to_its_box() -> None:
    mask = rectangle(5, 3, 25, 13)
    mask[3:8, 5:10] = False
    region = region_of(mask)
    assert (region.x, region.y) == (5, 3)
    assert region.box == mask_box(mask) == (5.0, 3.0, 25.0, 13.0)
    assert region.center.tolist() == [15.0, 8.0]
    assert (region.mask == mask[3:13, 5:25]).all()


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (59, 39, 60, 40), (0, 0, 60, 40), (0, 20, 60, 21)])
def test_region_at_the_image_border_keeps_its_box(box: tuple[int, int, int, int]) -> None:
    region = region_of(rectangle(*box))
    assert region.box == box
    assert region.iou(rectangle(*box)) == 1.0


@given(MASKS, MASKS)
@settings(max_examples=60, deadline=None)
def test_iou_equals_that_of_the_masks(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> None:
    """The other mask may be empty, or lie outside the box of the region."""
    assume(mask.any())
    assert region_of(mask).iou(other) == mask_iou(mask, other)


def test_mean_color_equals_that_of_the_mask() -> None:
    color = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    mask = rectangle(5, 3, 25, 13)
    mask[3:8, 5:10] = False
    expected = mean_lab_of(color, mask)
    assert expected is not None
    assert region_of(mask).mean_lab(color) == pytest.approx(expected)


def test_region_of_a_few_pixels_has_no_mean_color() -> None:
    assert region_of(rectangle(5, 3, 8, 8)).mean_lab(np.zeros((40, 60, 3), np.uint8)) is None


@given(MASKS)
@settings(max_examples=100, deadline=None)
def test_components_equal_the_labels_of_the_mask(mask: NDArray[np.bool_]) -> None:
    """Random masks have holes, components inside holes, and pixels that touch only at a corner. An empty mask has no component."""
    _, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    expected = [labels == index for index in range(1, labels.max() + 1)]
    found = []
    for region in Region.components(mask, 3, 2):
        image = np.zeros((20, 24), bool)
        image[region.y : region.y + region.mask.shape[0], region.x : region.x + region.mask.shape[1]] = region.mask
        assert region.box == mask_box(image)
        assert region.area == image.sum()
        found.append(image[2:14, 3:19])
    assert sorted(item.tobytes() for item in found) == sorted(item.tobytes() for item in expected)
