# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Shrunk images equal those that are computed as a whole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.segmentation.shrinking import Patch
from lang2segtrack_ros.types.rle import mask_box


@pytest.mark.parametrize(("height", "width", "cells"), [(480, 640, 48), (240, 320, 64), (481, 641, 48), (720, 1280, 256)])
def test_shrinking_a_part_equals_shrinking_the_whole_image(height: int, width: int, cells: int) -> None:
    """Image sizes with and without a common divisor with the cells, and an image of zeros."""
    image = np.zeros((height, width), np.float32)
    image[90:170, 210:300] = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (80, 90))
    image[-1, -1] = 1.0 if height > 480 else 0.0
    for ownership in (image, np.zeros_like(image)):
        whole = cv2.resize(ownership, (cells, cells), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(Patch.of(ownership).shrink((cells, cells)), whole, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "cells"), [(480, 640, 48), (481, 641, 48)])
def test_a_patch_equals_its_image_to_the_last_bit(height: int, width: int, cells: int) -> None:
    """The box lies inside the image, or at its corner."""
    for top, left in ((91, 213), (height - 80, width - 90)):
        mask = np.zeros((height, width), bool)
        mask[top : top + 80, left : left + 90] = np.random.default_rng(1).random((80, 90)) < 0.4
        patch = Patch.of(mask, mask_box(mask))
        assert patch.values.size < 8000
        np.testing.assert_array_equal(patch.image, mask)
        np.testing.assert_array_equal(patch.shrink((cells, cells)), Patch.of(mask).shrink((cells, cells)))
