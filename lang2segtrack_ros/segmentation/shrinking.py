# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images in the resolution of mask logits, computed only where they are not 0."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def shrink(image: NDArray[np.float32] | NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float32]:
    """Shrink an image [H, W] to `size` (rows, columns) by area averages. Only the part that is not 0 is computed."""
    x, y, width, height = cv2.boundingRect((image != 0).view(np.uint8))
    (first_row, last_row), (top, bottom) = _aligned(y, y + height, image.shape[0], size[0])
    (first_column, last_column), (left, right) = _aligned(x, x + width, image.shape[1], size[1])
    small = np.zeros(size, np.float32)
    if width:
        target = (last_column - first_column, last_row - first_row)
        crop = np.ascontiguousarray(image[top:bottom, left:right], np.float32)
        small[first_row:last_row, first_column:last_column] = cv2.resize(crop, target, interpolation=cv2.INTER_AREA)
    return small


def _aligned(start: int, end: int, pixels: int, cells: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the smallest ranges of cells and of pixels that have common edges and contain the pixels `start` to `end`."""
    common = math.gcd(pixels, cells)
    pixel_step, cell_step = pixels // common, cells // common
    first, last = start // pixel_step, -(-end // pixel_step)
    return (first * cell_step, last * cell_step), (first * pixel_step, last * pixel_step)
