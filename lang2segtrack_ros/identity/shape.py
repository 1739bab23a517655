# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an object: size and rotation-invariant outline of its mask.

Color alone does not tell a look-alike from an object after a scene cut. A shape model adds size, spread, elongation and solidity of the
mask, with a running mean and variance of each. A rigid object gets a strict model, an object that changes its outline a tolerant one.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, mask_box

Shape = NDArray[np.float64]
_MIN_PIXELS = 30  # a smaller mask has no reliable outline
_STD = np.array([0.35, 0.025, 0.10, 0.05])
"""Standard deviations that are added to the measured ones: errors of masks, and another distance or view of the object."""
_GATE = 16.0
"""Squared standard deviations above which two shapes differ."""


def shape_of(mask: NDArray[np.bool_], box: Box | None = None) -> Shape | None:
    """Compute the shape of a mask.

    Args:
        mask: bool [H, W].
        box: box around the mask, if the caller knows it; see `rle.mask_box`.

    Returns:
        float64 [4]: logarithm of the area in pixels; logarithm of the second moment relative to that of a disk of this area; logarithm of
        the ratio of the principal axes; ratio of the area to the area of the convex hull. None for a mask of fewer than 30 pixels.
    """
    box = mask_box(mask) if box is None else box
    if box is None:
        return None
    x, y, end_x, end_y = map(int, box)
    crop = np.ascontiguousarray(mask[y:end_y, x:end_x]).view(np.uint8)
    moments = cv2.moments(crop, binaryImage=True)
    area = moments["m00"]
    if area < _MIN_PIXELS:
        return None
    xx, xy, yy = (moments[name] / area for name in ("mu20", "mu11", "mu02"))
    middle, half = (xx + yy) / 2, float(np.hypot((xx - yy) / 2, xy))
    contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.convexHull(np.concatenate(contours))
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1  # the hull runs through the centers of the pixels
    elongation = 0.5 * np.log((middle + half) / max(middle - half, 0.1))
    return np.array([np.log(area), np.log(4 * np.pi * middle / area), elongation, area / hull_area])


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Running mean and variance of the shape of an object.

    Attributes:
        mean: float64 [4], see `shape_of`.
        variance: float64 [4].
        frames: number of frames in the model.
    """

    mean: Shape
    variance: Shape
    frames: int = 1

    @staticmethod
    def updated(model: ShapeModel | None, shape: Shape) -> ShapeModel:
        """Return a model with one more frame. None starts a model."""
        if model is None:
            return ShapeModel(shape, np.zeros_like(shape))
        weight = max(1 / (model.frames + 1), 0.05)
        difference = shape - model.mean
        variance = (1 - weight) * (model.variance + weight * difference**2)
        return ShapeModel(model.mean + weight * difference, variance, model.frames + 1)

    def fits(self, shape: Shape | None) -> bool:
        """Return True if a shape can be that of the object."""
        return shape is not None and float(np.sum((shape - self.mean) ** 2 / (_STD**2 + self.variance))) <= _GATE
