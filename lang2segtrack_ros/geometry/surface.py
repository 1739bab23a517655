# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Position and extent of the visible surface of one object, from its mask and a depth image.

A depth image has three kinds of errors. Medians and averages reduce noise. The nearest depth of the object fills holes. Flying pixels at
edges lie between two surfaces or on the surface behind. Two checks reject them: the distance from the median depth of the object, and the
depth jumps around them.

A mask has errors too. The measurement ignores parts of the mask that leak onto other surfaces. It adds parts that the mask misses if their
depth shows that they belong to the object.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.types.frame import CameraModel

MAX_SAMPLES = 12_000
"""Maximum number of samples in the box of a mask. Larger masks use every second, third, ... row and column."""
MIN_SAMPLES = 10
MIN_COVERAGE = 0.05
"""Minimum fraction of mask pixels with depth of the object. A mask with less has no position."""
JUMP = 0.04
"""Neighbors whose depths differ by more than this fraction lie on two surfaces. A plane tilted by 80 degrees stays below."""
GATE_DEVIATIONS = 3.5
GATE_M = 0.02
GATE_RATIO = 0.01
"""The depth gate is 3.5 robust standard deviations around the median depth, and at least 2 cm + 1 % of the depth."""
SLOPE_GATES = 3.0
"""The gate is this many times wider for samples that connect to the object without a depth jump."""
MARGIN_RATIO = 0.45
"""Width of the search area around the mask for missed parts, as a fraction of the smaller side of the box."""
MAX_OTHER_RATIO = 0.5
"""A patch that holds more than this fraction of another object's mask is that object."""
LEAK_DISTANCE = 2.5
"""Foreign samples under the mask farther than this from the object, in samples, are a leak; nearer ones are flying pixels.

Mask samples that are nearer to a leak than to the object do not count.
"""
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)
Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Surface:
    """The visible surface of an object, in the camera's optical frame, meters.

    Attributes:
        center: x and y of the center of the visible area, and the median depth of the surface.
        box_min: smallest x, y and z of the axis-aligned box around the visible surface.
        box_max: largest x, y and z of that box.
        points: float32 [N, 3], measured points without flying pixels.
        pixels: int64 [N, 2], row and column in the color image for each point.
        coverage: fraction of the mask that has depth of the object.
        footprint: half the side of the area that one sample covers, meters.
    """

    center: Vector
    box_min: Vector
    box_max: Vector
    points: NDArray[np.float32]
    pixels: NDArray[np.int64]
    coverage: float
    footprint: float

    @property
    def size(self) -> Vector:
        """Side lengths of the box, meters."""
        (x1, y1, z1), (x2, y2, z2) = self.box_min, self.box_max
        return x2 - x1, y2 - y1, z2 - z1

    @property
    def box_center(self) -> Vector:
        """Center of the box, meters."""
        (x1, y1, z1), (x2, y2, z2) = self.box_min, self.box_max
        return (x1 + x2) / 2, (y1 + y2) / 2, (z1 + z2) / 2


@dataclass(frozen=True, eq=False)
class _Grid:
    """The sampled pixels of the window around a mask.

    Attributes:
        rows: int64 [h], sampled rows of the image.
        columns: int64 [w], sampled columns of the image.
        step: pixels from one sample to the next.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    step: int

    def sample(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the samples [h, w] of an image-sized mask [H, W]."""
        rows, columns = self.rows, self.columns
        return mask[rows[0] : rows[-1] + 1 : self.step, columns[0] : columns[-1] + 1 : self.step]

    def sample_depth(self, depth: NDArray[np.float32], mask_shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return the samples [h, w] of a depth image that may differ in size from the mask."""
        rows = (self.rows * depth.shape[0] + depth.shape[0] // 2) // mask_shape[0]
        columns = (self.columns * depth.shape[1] + depth.shape[1] // 2) // mask_shape[1]
        return depth[rows, :][:, columns]


@dataclass(frozen=True, eq=False)
class _Samples:
    """The classified samples of one object, all of shape [h, w].

    Attributes:
        inside: bool, the sample lies on the mask.
        z: float32, depth in meters, NaN where unknown.
        own: bool, the depth surely belongs to the object.
        foreign: bool, the depth surely belongs to another surface.
    """

    inside: NDArray[np.bool_]
    z: NDArray[np.float32]
    own: NDArray[np.bool_]
    foreign: NDArray[np.bool_]


_OtherObject = tuple[NDArray[np.bool_], float]  # samples [h, w] of another object's mask, and the number of samples in its whole mask


def measure(
    mask: NDArray[np.bool_],
    box: tuple[float, float, float, float],
    depth: NDArray[np.float32],
    camera: CameraModel,
    others: Iterable[NDArray[np.bool_]] = (),
    max_samples: float = MAX_SAMPLES,
) -> Surface | None:
    """Measure the visible surface of one object.

    Args:
        mask: bool [H, W].
        box: (x1, y1, x2, y2) of the mask in pixels, maxima exclusive.
        depth: float32 [h, w], meters, NaN where unknown. It shows the same view as the mask, possibly at another size.
        camera: camera of the same size as the mask.
        others: bool [H, W] masks of other objects. The measurement never adds them to this object.
        max_samples: maximum number of samples in the box of the mask. Infinity uses every pixel of the depth image.

    Returns:
        The surface, or None if the mask has too little depth.
    """
    grid = _make_grid(box, mask.shape, depth.shape, max_samples)
    inside = grid.sample(mask)
    z = grid.sample_depth(depth, mask.shape)
    samples = _Samples(inside, z, *_classify(inside, z))
    count = int(np.count_nonzero(samples.own))
    coverage = count / max(1, int(np.count_nonzero(inside)))
    if count < MIN_SAMPLES or coverage < MIN_COVERAGE:
        return None
    nearby = [(grid.sample(other), np.count_nonzero(other) / grid.step**2) for other in others if grid.sample(other).any()]
    return _measure_samples(samples, nearby, grid, camera, coverage)


def _make_grid(
    box: tuple[float, float, float, float], mask_shape: tuple[int, ...], depth_shape: tuple[int, ...], max_samples: float
) -> _Grid:
    """Return the samples of the window around a box.

    The grid is no finer than the depth image and has at most `max_samples` in the box. A margin around the box leaves room for missed
    parts.
    """
    x1, y1, x2, y2 = (int(value) for value in box)
    depth_step = round(max(mask_shape[0] / depth_shape[0], mask_shape[1] / depth_shape[1]))
    step = max(1, min(depth_step, x2 - x1, y2 - y1), math.ceil(math.sqrt((x2 - x1) * (y2 - y1) / max_samples)))
    margin = max(2, round(MARGIN_RATIO * min(x2 - x1, y2 - y1)))
    ranges = ((max(0, y1 - margin), min(mask_shape[0], y2 + margin)), (max(0, x1 - margin), min(mask_shape[1], x2 + margin)))
    # The samples are centered in the window, so that the remainder of the division splits between both sides.
    rows, columns = (np.arange(start + (stop - start - 1) % step // 2, stop, step, dtype=np.int64) for start, stop in ranges)
    return _Grid(rows, columns, step)


def _classify(inside: NDArray[np.bool_], z: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the mask samples [h, w] with depth of the object, and those with depth of another surface.

    Samples beside a depth jump usually belong to neither. They count only if the object has no others, as at the tip of a star.
    """
    known = inside & np.isfinite(z)
    core = known & ~_depth_jumps(z)
    iterations = max(1, min(4, min(inside.shape) // 16))
    eroded = cv2.erode(inside.astype(np.uint8), _CROSS, iterations=iterations, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    # The median comes from samples well inside the mask if there are enough, else from the best ones available.
    bulk = next((part for part in (core & eroded, core, known) if np.count_nonzero(part) >= MIN_SAMPLES), known)
    if not bulk.any():
        return bulk, bulk
    values = z[bulk]
    median = float(np.median(values))
    deviation = 1.4826 * float(np.median(np.abs(values - median)))  # robust standard deviation from the median absolute deviation
    gate = max(GATE_DEVIATIONS * deviation, GATE_M + GATE_RATIO * median)
    distance = np.abs(z - median)
    gated = core & (distance <= gate)
    # Samples that connect to the bulk without a jump may be farther away: the slope of a tilted object, or the tip of a bent one.
    _, component = cv2.connectedComponents(core.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    connected = np.isin(component, np.unique(component[gated & (component > 0)])) & core & (distance <= SLOPE_GATES * gate)
    if np.count_nonzero(connected) < MIN_SAMPLES:
        return known & (distance <= gate), known & (distance > gate)
    return connected, (known & (distance > SLOPE_GATES * gate)) | (core & ~connected)


def _depth_jumps(z: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the samples at or beside a depth jump."""
    known = np.isfinite(z)
    highest = cv2.dilate(np.where(known, z, 0).astype(np.float32), _SQUARE)
    lowest = cv2.erode(np.where(known, z, np.inf).astype(np.float32), _SQUARE)
    return known & (highest - lowest > JUMP * lowest)


def _measure_samples(samples: _Samples, others: Sequence[_OtherObject], grid: _Grid, camera: CameraModel, coverage: float) -> Surface:
    """Return the surface of classified samples."""
    own, z = samples.own, samples.z
    smooth = _smooth(z, own)
    filled, distance = _fill(smooth, own)
    leak = samples.foreign & (distance > LEAK_DISTANCE)
    shape = samples.inside
    if leak.any():
        shape = shape & (cv2.distanceTransform((~leak).astype(np.uint8), cv2.DIST_L2, 5) >= distance)
    shape = shape | _missed_parts(samples.inside, z, filled, others)
    row, column = np.nonzero(shape)
    ray, filled = rays(camera)[grid.rows[row], grid.columns[column]], filled[shape]
    x, y = ray[:, 0] * filled, ray[:, 1] * filled
    half_x, half_y = filled * (grid.step / 2 / camera.fx), filled * (grid.step / 2 / camera.fy)  # a sample covers an area
    z_min, z_max = np.percentile(smooth[own], (1, 99))
    own_row, own_column = np.nonzero(own)
    pixels = np.stack((grid.rows[own_row], grid.columns[own_column]), axis=1)
    measured = z[own][:, None]
    area = filled * filled  # proportional to the area of a sample that faces the camera
    return Surface(
        center=(float(np.average(x, weights=area)), float(np.average(y, weights=area)), float(np.median(z[own]))),
        box_min=(float((x - half_x).min()), float((y - half_y).min()), float(z_min)),
        box_max=(float((x + half_x).max()), float((y + half_y).max()), float(z_max)),
        points=np.concatenate((rays(camera)[pixels[:, 0], pixels[:, 1]] * measured, measured), axis=1),
        pixels=pixels,
        coverage=coverage,
        footprint=float(np.median(half_x)),
    )


def _missed_parts(
    inside: NDArray[np.bool_], z: NDArray[np.float32], filled: NDArray[np.float32], others: Sequence[_OtherObject]
) -> NDArray[np.bool_]:
    """Return samples [h, w] beside the mask that belong to the object by their depth, such as tips that a coarse mask misses.

    A patch of such samples must touch the object within the mask and end within the window. A patch that reaches the border of the window
    is a surface that the object stands on or leans against.

    Args:
        inside: bool [h, w], the sample lies on the mask.
        z: float32 [h, w], depth in meters, NaN where unknown.
        filled: float32 [h, w], depth of the nearest sample of the object.
        others: other objects.
    """
    difference, gate = np.abs(z - filled), GATE_M + GATE_RATIO * filled
    beside = ((difference <= SLOPE_GATES * gate) & ~inside).astype(np.uint8)
    _, patch = cv2.connectedComponents(beside, connectivity=8, ltype=cv2.CV_32S)
    touching = np.unique(patch[cv2.dilate((inside & (difference <= gate)).astype(np.uint8), _SQUARE).astype(bool)])
    at_border = np.concatenate((patch[0], patch[-1], patch[:, 0], patch[:, -1]))
    keep = np.zeros(patch.max() + 1, bool)
    keep[touching] = True
    keep[at_border] = False
    for other, count in others:
        keep[np.bincount(patch[other], minlength=len(keep)) > MAX_OTHER_RATIO * count] = False
    keep[0] = False
    missed: NDArray[np.bool_] = keep[patch] & (difference <= gate)
    return missed


def _smooth(z: NDArray[np.float32], own: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the depth averaged over 5 x 5 samples of the object. Only the values where `own` is true are valid."""
    weight = own.astype(np.float32)
    total = cv2.boxFilter(np.where(own, z, 0).astype(np.float32), -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(weight, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return (total / np.maximum(count, 1)).astype(np.float32, copy=False)


def _fill(z: NDArray[np.float32], own: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fill each sample with the depth of the nearest sample of the object.

    Returns:
        The filled depth [h, w] in meters, and the distance [h, w] to that nearest sample in samples.
    """
    source = cv2.copyMakeBorder((~own).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    padded, labels = cv2.distanceTransformWithLabels(source, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    distance, label = padded[1:-1, 1:-1].astype(np.float32, copy=False), labels[1:-1, 1:-1]
    values = np.full(int(label.max()) + 1, np.nan, np.float32)
    values[label[own]] = z[own]
    filled: NDArray[np.float32] = values[label]
    return filled, distance
