# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images in the resolution of mask logits, computed only where they are not 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box


@dataclass(frozen=True, eq=False)
class Patch:
    """A part of an image that is 0 elsewhere.

    Attributes:
        values: float32 or bool [h, w], the part.
        x, y: position of the part in pixels of the image.
        height, width: size of the image in pixels.
    """

    values: NDArray[np.float32] | NDArray[np.bool_]
    x: int
    y: int
    height: int
    width: int

    @staticmethod
    def of(image: NDArray[np.float32] | NDArray[np.bool_], box: Box | None = None) -> Patch:
        """Return the part of an image [H, W] inside a box. None takes the whole image."""
        height, width = image.shape
        x, y, end_x, end_y = map(int, box or (0, 0, width, height))
        return Patch(image[y:end_y, x:end_x], x, y, height, width)

    @property
    def image(self) -> NDArray[Any]:
        """Return the image [H, W]."""
        image = np.zeros((self.height, self.width), self.values.dtype)
        image[self.y : self.y + self.values.shape[0], self.x : self.x + self.values.shape[1]] = self.values
        return image

    def shrink(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """Return the image in `size` (rows, columns) by area averages. Only the part that is not 0 is computed."""
        present = self.values if self.values.dtype == bool else self.values != 0
        x, y, width, height = cv2.boundingRect(present.view(np.uint8))
        small = np.zeros(size, np.float32)
        if not width:
            return small
        (first_row, last_row), (top, bottom) = _aligned(self.y + y, self.y + y + height, self.height, size[0])
        (first_column, last_column), (left, right) = _aligned(self.x + x, self.x + x + width, self.width, size[1])
        crop = np.zeros((bottom - top, right - left), np.float32)
        row, column = self.y + y - top, self.x + x - left
        crop[row : row + height, column : column + width] = self.values[y : y + height, x : x + width]
        target = (last_column - first_column, last_row - first_row)
        small[first_row:last_row, first_column:last_column] = cv2.resize(crop, target, interpolation=cv2.INTER_AREA)
        return small


def _aligned(start: int, end: int, pixels: int, cells: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the smallest ranges of cells and of pixels that have common edges and contain the pixels `start` to `end`."""
    common = math.gcd(pixels, cells)
    pixel_step, cell_step = pixels // common, cells // common
    first, last = start // pixel_step, -(-end // pixel_step)
    return (first * cell_step, last * cell_step), (first * pixel_step, last * pixel_step)
