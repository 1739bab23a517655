# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""J and F of masks with known agreement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.masks import boundary_f, region_j


def square(x: int, y: int, side: int = 20, size: int = 100) -> NDArray[np.bool_]:
    mask = np.zeros((size, size), bool)
    mask[y : y + side, x : x + side] = True
    return mask


EMPTY = np.zeros((100, 100), bool)


def test_equal_masks_have_scores_of_one() -> None:
    assert region_j(square(10, 10), square(10, 10)) == boundary_f(square(10, 10), square(10, 10)) == 1.0


def test_empty_masks_match_each_other_only() -> None:
    """DAVIS counts an empty mask of a hidden object as correct."""
    assert region_j(EMPTY, EMPTY) == boundary_f(EMPTY, EMPTY) == 1.0
    assert region_j(EMPTY, square(5, 5)) == boundary_f(EMPTY, square(5, 5)) == boundary_f(square(5, 5), EMPTY) == 0.0


def test_half_of_a_square_has_j_of_one_half() -> None:
    assert region_j(square(0, 0, 20) & (np.arange(100) < 10), square(0, 0, 20)) == pytest.approx(0.5)


def test_boundaries_within_the_tolerance_match() -> None:
    """The tolerance is 0.008 of a diagonal of 141 pixels, which is 2 pixels. After a shift by 5, only the edges along the shift match."""
    assert boundary_f(square(10, 10), square(12, 10)) == pytest.approx(1.0)
    far = boundary_f(square(10, 10), square(15, 10))
    assert 0.4 < far < 0.75


def test_boundary_score_is_independent_of_position() -> None:
    """`boundary_f` evaluates a window around both masks, so their position must not matter."""
    near = boundary_f(square(1, 1), square(4, 2))
    far = boundary_f(square(70, 60), square(73, 61))
    assert near == pytest.approx(far)
