# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A region of an image, cropped to its box. Work on a region costs nothing for the rest of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
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

    @staticmethod
    def components(mask: NDArray[np.bool_], x: int = 0, y: int = 0) -> list[Region]:
        """Return the connected components (of 8 neighbors) of a bool mask [h, w] at a position of the image, in any order."""
        pixels = mask.view(np.uint8)
        contours, hierarchy = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        outer = [contour for contour, links in zip(contours, hierarchy[0] if contours else ()) if links[3] < 0]
        boxes = [cv2.boundingRect(contour) for contour in outer]
        if len(outer) > 1:  # most masks are one region, which needs no labels
            _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels, connectivity=8)
            boxes = [tuple(int(value) for value in row[:4]) for row in stats[1:]]
        regions = []
        for index, (left, top, width, height) in enumerate(boxes, start=1):
            window = np.s_[top : top + height, left : left + width]
            regions.append(Region(labels[window] == index if len(outer) > 1 else mask[window], x + left, y + top))
        return regions

    @property
    def box(self) -> Box:
        """Return the box (x_min, y_min, x_max, y_max) in pixels of the image, with exclusive maxima."""
        height, width = self.mask.shape
        return float(self.x), float(self.y), float(self.x + width), float(self.y + height)

    @cached_property
    def area(self) -> int:
        """Return the number of pixels."""
        return int(np.count_nonzero(self.mask))

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
        if not shared:
            return 0.0
        union = self.area + int(np.count_nonzero(mask)) - shared
        return shared / union
