# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Where the visible surface of one object is, and how far it reaches, from its mask and a depth image.

Depth images err in three ways, and each is met: noise (medians and averages), holes (closed with the nearest depth of the object), and
pixels at edges that lie between two surfaces or on the one behind ("flying" pixels: left out by their distance from the bulk of
the object and by the jump in depth around them). Masks err as well: what one leaks onto other surfaces is left out, and what it cuts off
is taken in where depth shows that it belongs to the object.
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
"""Larger masks are looked at in every second, third, ... row and column."""
MIN_SAMPLES = 10
MIN_COVERAGE = 0.05
"""A mask with depth on fewer of its pixels has no position."""
JUMP = 0.04
"""Neighbours whose depth differs by more than this share of it are on two surfaces; a plane at 80 degrees stays below."""
GATE_DEVIATIONS = 3.5
GATE_M = 0.02
GATE_SHARE = 0.01
"""Depth belongs to the object within 3.5 robust standard deviations of its median, at the least within 2 cm + 1 %."""
SLOPE_GATES = 3.0
"""And within three times as much, where it hangs together with the rest without a jump."""
MARGIN = 0.45
"""What a mask may have cut off is looked for so far beside it, a share of its width or height."""
ANOTHER = 0.5
"""What holds so much of another object's mask is that object, and was not cut off this one."""
LEAK = 2.5
"""What is not the object's under a mask is a leak from so many samples off the object; nearer it flies. What is nearer to a leak goes."""
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)
Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Surface:
    """What is seen of an object, in the camera's optical frame, metres.

    Attributes:
        centre: x and y of the middle of the visible area, and the surface's median depth.
        low, high: corners of the box around the visible surface, its sides parallel to the axes.
        points: float32 [N, 3], measured points, without flying ones.
        pixels: int64 [N, 2], row and column of the colour image for each of them.
        coverage: share of the mask that has depth of the object.
    """

    centre: Vector
    low: Vector
    high: Vector
    points: NDArray[np.float32]
    pixels: NDArray[np.int64]
    coverage: float

    @property
    def size(self) -> Vector:
        """Sides of the box."""
        (x1, y1, z1), (x2, y2, z2) = self.low, self.high
        return x2 - x1, y2 - y1, z2 - z1

    @property
    def middle(self) -> Vector:
        """Middle of the box."""
        (x1, y1, z1), (x2, y2, z2) = self.low, self.high
        return (x1 + x2) / 2, (y1 + y2) / 2, (z1 + z2) / 2


def measure(
    mask: NDArray[np.bool_],
    box: tuple[float, float, float, float],
    depth: NDArray[np.float32],
    camera: CameraModel,
    others: Iterable[NDArray[np.bool_]] = (),
) -> Surface | None:
    """Measures one object.

    Args:
        mask: bool [H, W].
        box: around the mask, pixels, maxima exclusive.
        depth: float32 [h, w] metres, NaN unknown; the same view as the mask, perhaps of another size.
        camera: of the same size as the mask.
        others: bool [H, W] masks of other objects, of which none is taken for a part of this one.

    Returns:
        None when there is too little depth on the mask to tell.
    """
    rows, columns, step = _grid(box, mask.shape, depth.shape)
    window = np.s_[rows[0] : rows[-1] + 1 : step, columns[0] : columns[-1] + 1 : step]
    inside = mask[window]
    z = depth[(rows * depth.shape[0] + depth.shape[0] // 2) // mask.shape[0], :][
        :, (columns * depth.shape[1] + depth.shape[1] // 2) // mask.shape[1]
    ]
    own, other = _own(inside, z)
    count = int(np.count_nonzero(own))
    covered = count / max(1, int(np.count_nonzero(inside)))
    if count < MIN_SAMPLES or covered < MIN_COVERAGE:
        return None
    near = [(seen[window], np.count_nonzero(seen) / step**2) for seen in others if seen[window].any()]
    return _surface(inside, z, own, other, near, rows, columns, step, camera, covered)


def _grid(
    box: tuple[float, float, float, float], mask_shape: tuple[int, ...], depth_shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows and columns to look at, and the pixels from one to the next: no finer than the depth, no more than MAX_SAMPLES in the box.

    There is room around the box for what its mask may have cut off.
    """
    x1, y1, x2, y2 = (int(value) for value in box)
    coarser = round(max(mask_shape[0] / depth_shape[0], mask_shape[1] / depth_shape[1]))
    step = max(1, min(coarser, x2 - x1, y2 - y1), math.ceil(math.sqrt((x2 - x1) * (y2 - y1) / MAX_SAMPLES)))
    margin = max(2, round(MARGIN * min(x2 - x1, y2 - y1)))
    ends = ((max(0, y1 - margin), min(mask_shape[0], y2 + margin)), (max(0, x1 - margin), min(mask_shape[1], x2 + margin)))
    # The samples stand in the middle of the window, so that what is left over is left on both sides.
    rows, columns = (np.arange(low + (high - low - 1) % step // 2, high, step, dtype=np.int64) for low, high in ends)
    return rows, columns, step


def _own(inside: NDArray[np.bool_], z: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which samples [h, w] of the mask surely carry depth of the object itself, and which that of something else.

    In neither are samples beside a jump: the tip of a star has no others.
    """
    known = inside & np.isfinite(z)
    core = known & ~_jumps(z)
    depth_of_erosion = max(1, min(4, min(inside.shape) // 16))
    eroded = cv2.erode(inside.astype(np.uint8), _CROSS, iterations=depth_of_erosion, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(
        bool
    )
    # The bulk of the object: well inside the mask where it is large enough, else the best there is.
    bulk = next((part for part in (core & eroded, core, known) if np.count_nonzero(part) >= MIN_SAMPLES), known)
    if not bulk.any():
        return bulk, bulk
    values = z[bulk]
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - median)))
    gate = max(GATE_DEVIATIONS * spread, GATE_M + GATE_SHARE * median)
    off = np.abs(z - median)
    like = core & (off <= gate)
    # What hangs together with the bulk without a jump may be further off: the slope of a tilted thing, the tip of a bent one.
    _, part = cv2.connectedComponents(core.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
    joined = np.isin(part, np.unique(part[like & (part > 0)])) & core & (off <= SLOPE_GATES * gate)
    if np.count_nonzero(joined) < MIN_SAMPLES:
        return known & (off <= gate), known & (off > gate)
    return joined, (known & (off > SLOPE_GATES * gate)) | (core & ~joined)


def _jumps(z: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Samples beside which, or at which, depth jumps."""
    known = np.isfinite(z)
    highest = cv2.dilate(np.where(known, z, 0).astype(np.float32), _SQUARE)
    lowest = cv2.erode(np.where(known, z, np.inf).astype(np.float32), _SQUARE)
    return known & (highest - lowest > JUMP * lowest)


def _surface(
    inside: NDArray[np.bool_],
    z: NDArray[np.float32],
    own: NDArray[np.bool_],
    other: NDArray[np.bool_],
    others: Sequence[tuple[NDArray[np.bool_], float]],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    step: int,
    camera: CameraModel,
    coverage: float,
) -> Surface:
    smooth = _averaged(z, own)
    filled, away = _filled(smooth, own)
    leak = other & (away > LEAK)
    shape = inside & (cv2.distanceTransform((~leak).astype(np.uint8), cv2.DIST_L2, 5) >= away) if leak.any() else inside
    shape = shape | _cut_off(inside, z, filled, others)
    row, column = np.nonzero(shape)
    ray, filled = rays(camera)[rows[row], columns[column]], filled[shape]
    x, y = ray[:, 0] * filled, ray[:, 1] * filled
    reach_x, reach_y = filled * (step / 2 / camera.fx), filled * (step / 2 / camera.fy)  # samples are areas, not points
    z_low, z_high = np.percentile(smooth[own], (1, 99))
    own_row, own_column = np.nonzero(own)
    pixels = np.stack((rows[own_row], columns[own_column]), axis=1)
    measured = z[own][:, None]
    area = filled * filled  # of a sample, seen from the front
    return Surface(
        centre=(float(np.average(x, weights=area)), float(np.average(y, weights=area)), float(np.median(z[own]))),
        low=(float((x - reach_x).min()), float((y - reach_y).min()), float(z_low)),
        high=(float((x + reach_x).max()), float((y + reach_y).max()), float(z_high)),
        points=np.concatenate((rays(camera)[pixels[:, 0], pixels[:, 1]] * measured, measured), axis=1),
        pixels=pixels,
        coverage=coverage,
    )


def _cut_off(
    inside: NDArray[np.bool_], z: NDArray[np.float32], filled: NDArray[np.float32], others: Sequence[tuple[NDArray[np.bool_], float]]
) -> NDArray[np.bool_]:
    """Samples beside the mask that are the object's by their depth, as the tips of a star are that a coarse mask leaves out.

    Only patches of them that begin where the mask shows the object, and end within the window: what goes on to its rim is something that
    the object stands on or leans against.
    `filled` is the depth of the nearest sample of the object, `others` are other objects, each with its number of samples in all.
    """
    apart, gate = np.abs(z - filled), GATE_M + GATE_SHARE * filled
    beside = ((apart <= SLOPE_GATES * gate) & ~inside).astype(np.uint8)
    _, patch = cv2.connectedComponents(beside, connectivity=8, ltype=cv2.CV_32S)
    touching = np.unique(patch[cv2.dilate((inside & (apart <= gate)).astype(np.uint8), _SQUARE).astype(bool)])
    leaving = np.concatenate((patch[0], patch[-1], patch[:, 0], patch[:, -1]))
    kept = np.zeros(patch.max() + 1, bool)
    kept[touching] = True
    kept[leaving] = False
    for seen, count in others:
        kept[np.bincount(patch[seen], minlength=len(kept)) > ANOTHER * count] = False
    kept[0] = False
    cut_off: NDArray[np.bool_] = kept[patch] & (apart <= gate)
    return cut_off


def _averaged(z: NDArray[np.float32], own: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Depth averaged over 5 x 5 samples of the object; meaningful where `own`."""
    weight = own.astype(np.float32)
    total = cv2.boxFilter(np.where(own, z, 0).astype(np.float32), -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(weight, -1, (5, 5), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return (total / np.maximum(count, 1)).astype(np.float32, copy=False)


def _filled(z: NDArray[np.float32], own: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """`z` everywhere: where it is not the object's, that of the nearest sample which is; and how many samples that one is away."""
    source = cv2.copyMakeBorder((~own).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    padded, labels = cv2.distanceTransformWithLabels(source, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    away, label = padded[1:-1, 1:-1].astype(np.float32, copy=False), labels[1:-1, 1:-1]
    values = np.full(int(label.max()) + 1, np.nan, np.float32)
    values[label[own]] = z[own]
    filled: NDArray[np.float32] = values[label]
    return filled, away
