# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A region of an image, cropped to its box. Work on a region costs nothing for the rest of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import mean_lab_of
from lang2segtrack_ros.types.rle import Box, mask_box


@dataclass(frozen=True, eq=False)
class Region:
    """A region with at least one pixel.

    Attributes:
        mask: bool [h, w], the pixels inside the box of the region.
        x, y: position of the box in the image, in pixels.
    """

    mask: NDArray[np.bool_]
    x: int
    y: int

    @staticmethod
    def of(mask: NDArray[np.bool_]) -> Region | None:
        """Return the region of a bool mask [H, W]. None for an empty mask."""
        box = mask_box(mask)
        if box is None:
            return None
        x, y, end_x, end_y = map(int, box)
        return Region(mask[y:end_y, x:end_x], x, y)

    @property
    def box(self) -> Box:
        """Return the box (x_min, y_min, x_max, y_max) in pixels of the image, with exclusive maxima."""
        height, width = self.mask.shape
        return float(self.x), float(self.y), float(self.x + width), float(self.y + height)

    @property
    def center(self) -> NDArray[np.float64]:
        """Return the center (x, y) of the box in pixels of the image."""
        height, width = self.mask.shape
        return np.array([self.x + width / 2, self.y + height / 2])

    def mean_lab(self, color: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Return the mean color of the region on an RGB image uint8 [H, W, 3]; see `appearance.mean_lab_of`."""
        height, width = self.mask.shape
        window = color[self.y : self.y + height, self.x : self.x + width]
        return mean_lab_of(window, self.mask, (0.0, 0.0, float(width), float(height)))

    def iou(self, mask: NDArray[np.bool_]) -> float:
        """Return the IoU with a bool mask [H, W] of the image."""
        height, width = self.mask.shape
        shared = int(np.count_nonzero(self.mask & mask[self.y : self.y + height, self.x : self.x + width]))
        union = int(np.count_nonzero(self.mask)) + int(np.count_nonzero(mask)) - shared
        return shared / union if union else 0.0
