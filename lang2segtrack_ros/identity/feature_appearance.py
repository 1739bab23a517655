# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The appearance of an object from the features of the segmenter and the geometry of its mask.

An observation of an object on one image has four parts:

* context: the mean feature at stride 16 under the mask, minus the mean of the image, with unit length. Attention contrasts the visible
  objects, so this part separates look-alikes with a small difference in color. It changes when other objects leave the image.
* surface: the mean feature at stride 4 inside the mask. It is local, so it depends on the object alone.
* size: the logarithm of the radius in image heights.
* shape: moments of the mask that do not depend on position, size and rotation.

The geometry is unknown (NaN) where the edge of the image or another object cuts the mask. The model of an object is the running mean and
the spread of its observations. The similarity is a product of Student's t kernels, one for each part, so one wrong part has a limited
effect.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, mask_box

Observation = NDArray[np.float32]
"""float32 [GEOMETRY + S + C]: size and shape, surface, context. S channels at stride 4, C = 8 S channels at stride 16."""

GEOMETRY = 8
"""Number of values of size and shape."""
_MIN_PIXELS = 16  # minimum size of a mask with an appearance, in pixels of the image
_SHAPE_SIDE = 48  # maximum side in pixels of the mask whose moments are computed
_MAX_RADIUS = 1.8  # radius at which a moment saturates, in radii of a circle of the same area
_MOMENTUM = 0.95  # weight of the stored model when a new observation is mixed in
# The differences of a part that halve its kernel, for an object without spread. Fitted on toy clips with seeds 0 to 5.
_SIZE_SCALE = 0.15  # in the logarithm of the radius
_SHAPE_SCALE = 0.02  # root mean square over the moments
_SURFACE_SCALE = 0.1  # relative to the length of the mean
_CONTEXT_SCALE = 0.3  # of unit vectors
_COLOR_SCALE = 0.15  # square root of 1 minus the color similarity
_EXPONENT = 0.12  # puts 2 percent of the observations of the same object below 0.8
_JOINT_EXPONENT = 0.85  # does the same for features and color together


def geometry_of(mask: NDArray[np.bool_], is_whole: bool = True, box: Box | None = None) -> NDArray[np.float32] | None:
    """Compute size and shape of the largest region of a mask.

    Args:
        mask: bool [H, W].
        is_whole: False if another object may cover a part of this one.
        box: box around the mask, if the caller knows it; see `rle.mask_box`.

    Returns:
        float32 [GEOMETRY], or None for a mask of fewer than 16 pixels. NaN if the object may be larger than its mask.
    """
    x, y, end_x, end_y = map(int, box or mask_box(mask) or (0, 0, 0, 0))
    width, height = end_x - x, end_y - y
    crop = np.ascontiguousarray(mask[y : y + height, x : x + width]).view(np.uint8)
    if not width or cv2.countNonZero(crop) < _MIN_PIXELS:
        return None
    if not is_whole or x == 0 or y == 0 or end_x == mask.shape[1] or end_y == mask.shape[0]:
        return np.full(GEOMETRY, np.nan, np.float32)
    scale = min(_SHAPE_SIDE / max(width, height), 1.0)
    columns, rows = max(round(width * scale), 1), max(round(height * scale), 1)
    ratio = cv2.resize(crop.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    count, regions, region_stats, _ = cv2.connectedComponentsWithStats((ratio > 0).view(np.uint8))
    if count > 2:
        ratio = ratio * (regions == 1 + region_stats[1:, cv2.CC_STAT_AREA].argmax())
    row, column = np.nonzero(ratio)
    weight = ratio[row, column].astype(np.float64)
    cell = width / columns, height / rows
    radius = float(np.sqrt(weight.sum() * cell[0] * cell[1] / np.pi))  # of a circle of the same area, in pixels
    position = (column * cell[0] + 1j * row * cell[1]) / radius
    moments = _moments(position.astype(np.complex128), weight / weight.sum())
    return np.array((np.log(radius / mask.shape[0]), *moments), np.float32)


def _moments(position: NDArray[np.complex128], weight: NDArray[np.float64]) -> tuple[float, ...]:
    """Return GEOMETRY - 1 moments of pixels at `position` that do not depend on translation and rotation. The weights have sum 1."""
    position = position - weight @ position
    distance = np.abs(position)
    direction = position / np.maximum(distance, 1e-6)
    radius = np.minimum(distance, _MAX_RADIUS)
    square = weight * radius**2
    second = direction * direction
    harmonics = np.abs(np.stack((second, second * direction, second * second, second * second * direction)) @ square)
    first = np.abs((square * radius) @ direction)
    return float(square.sum()), float(np.sqrt(square @ radius**2)), *(float(value) for value in harmonics), float(first)


def join(geometry: NDArray[np.float32] | None, pooled: NDArray[np.float32]) -> Observation | None:
    """Join the geometry of a mask and its row of `pool` [S + C]. None if one of them is missing or not finite."""
    if geometry is None or not np.isfinite(pooled).all():
        return None
    return np.concatenate((geometry, pooled)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FeatureModel:
    """The appearance of an object over time.

    Attributes:
        mean: float32 [GEOMETRY + S + C], running mean of the observations. The geometry is NaN before it was observed.
        spread: float32, same shape, running standard deviation of the observations.
        count: number of observations.
    """

    mean: Observation
    spread: Observation
    count: int = 1

    @staticmethod
    def of(observation: Observation) -> FeatureModel:
        """Return the model after the first observation."""
        return FeatureModel(observation, np.zeros_like(observation))

    def updated(self, observation: Observation) -> FeatureModel:
        """Return the model with one more observation. Unknown values of the observation change nothing."""
        rate = max(1 - _MOMENTUM, 1 / (self.count + 1))
        mean = np.where(np.isnan(self.mean), observation, self.mean)
        step = np.nan_to_num(observation - mean)
        variance = np.where(np.isnan(observation), self.spread**2, (1 - rate) * (self.spread**2 + rate * step**2))
        return FeatureModel((mean + rate * step).astype(np.float32), np.sqrt(variance).astype(np.float32), self.count + 1)


def similarity(observations: Observation, model: FeatureModel) -> NDArray[np.float64]:
    """Return how similar observations are to the model of an object, 0..1.

    Args:
        observations: float32 [..., GEOMETRY + S + C].
        model: the model of the object.

    Returns:
        float64 [...]. Unknown values count as equal.
    """
    surface = GEOMETRY, GEOMETRY + (len(model.mean) - GEOMETRY) // 9
    parts = np.array((0, 1, *surface))
    squares = np.nan_to_num((observations - model.mean).astype(np.float64) ** 2)
    spread = model.spread.astype(np.float64) ** 2
    length = float((model.mean[slice(*surface)].astype(np.float64) ** 2).sum())
    shape_values = GEOMETRY - 1
    scale = np.array((_SIZE_SCALE**2, shape_values * _SHAPE_SCALE**2, length * _SURFACE_SCALE**2, _CONTEXT_SCALE**2))
    distance = np.add.reduceat(squares, parts, axis=-1) / (np.add.reduceat(spread, parts) + scale)
    return np.asarray((1 + distance).prod(axis=-1) ** -_EXPONENT, np.float64)


def joint_similarity(features: NDArray[np.float64], color: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the similarity in features and in color together, 0..1, from both similarities, each 0..1 and of the same shape."""
    color_kernel = (1 + (1 - color) / _COLOR_SCALE**2) ** -_EXPONENT
    return np.asarray((features * color_kernel) ** _JOINT_EXPONENT, np.float64)
