# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Small regions are removed, and objects stay, at the borders of the image too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.segmentation.small_regions import remove_small_regions
from lang2segtrack_ros.types.rle import mask_box


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((60, 80), bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


def without_small_regions(mask: np.ndarray, min_region_ratio: float) -> np.ndarray:
    kept = mask.copy()
    assert remove_small_regions(kept, min_region_ratio) == mask_box(kept), "the box must be that of the remaining mask"
    return kept


def test_small_region_is_removed_and_large_regions_stay() -> None:
    """An object behind a pole has two large regions. A third, small region is noise."""
    two = mask_of((5, 5, 25, 45), (30, 5, 50, 45))
    assert np.array_equal(without_small_regions(two | mask_of((70, 50, 75, 55)), 0.05), two)
    assert np.array_equal(without_small_regions(two | mask_of((70, 50, 75, 55)), 0.01), two | mask_of((70, 50, 75, 55)))


@pytest.mark.parametrize("box", [(0, 0, 20, 20), (60, 40, 80, 60), (0, 0, 80, 60), (0, 20, 80, 30)])
def test_mask_at_the_border_keeps_its_edges(box: tuple[int, int, int, int]) -> None:
    assert np.array_equal(without_small_regions(mask_of(box), 0.05), mask_of(box))


@pytest.mark.parametrize("min_region_ratio", [0.0, 0.05])
def test_result_is_the_same_within_a_window(min_region_ratio: float) -> None:
    """The window contains an object and a small region. The origin of the box is the corner of the image."""
    whole = mask_of((20, 15, 45, 40), (50, 42, 52, 43))
    window = np.s_[12:45, 18:60]
    kept = whole.copy()
    assert remove_small_regions(kept, min_region_ratio, window) == mask_box(kept)
    assert np.array_equal(kept, without_small_regions(whole, min_region_ratio))
    assert remove_small_regions(np.zeros_like(whole), min_region_ratio, np.s_[0:0, 0:0]) is None


def test_holes_and_lines_of_one_pixel_are_removed() -> None:
    holed = mask_of((10, 10, 40, 40))
    holed[20, 20] = False
    with_line = mask_of((10, 10, 40, 40), (40, 20, 60, 21))
    assert np.array_equal(without_small_regions(holed, 0.05), mask_of((10, 10, 40, 40)))
    assert np.array_equal(without_small_regions(with_line, 0.05), mask_of((10, 10, 40, 40)))


def test_small_region_in_the_hole_of_a_ring_is_removed() -> None:
    ring = mask_of((10, 10, 50, 50)) & ~mask_of((20, 20, 40, 40))
    assert np.array_equal(without_small_regions(ring | mask_of((28, 28, 31, 31)), 0.05), ring)


def test_ratio_of_zero_keeps_the_mask() -> None:
    mask = mask_of((10, 10, 50, 50), (70, 50, 71, 51))
    assert np.array_equal(without_small_regions(mask, 0.0), mask)


def test_empty_and_tiny_masks_become_empty() -> None:
    assert not without_small_regions(mask_of(), 0.05).any()
    assert not without_small_regions(mask_of((3, 3, 5, 5)), 0.05).any()


def test_result_equals_that_of_closing_opening_and_labels() -> None:
    """Random masks from sparse to dense, also at the border, against the steps one by one on the whole image."""
    random, kernel = np.random.default_rng(2), np.ones((3, 3), np.uint8)
    for density in (0.2, 0.4, 0.55, 0.7, 0.9):
        mask = cv2.resize((random.random((30, 40)) < density).astype(np.uint8), (80, 60), interpolation=cv2.INTER_LINEAR) > 0
        padded = np.pad(mask.astype(np.uint8), 2)
        smooth = cv2.morphologyEx(cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel), cv2.MORPH_OPEN, kernel)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=8)
        areas = np.array([0, *stats[1:, cv2.CC_STAT_AREA]])
        expected = (areas >= max(5, 0.05 * areas.max()))[labels][2:-2, 2:-2]
        np.testing.assert_array_equal(without_small_regions(mask, 0.05), expected)
