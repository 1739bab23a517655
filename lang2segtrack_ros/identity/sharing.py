# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Whose pixels are whose while two objects overlap: what has the colour of one of them, and not of the other, is that one's.

As in GrabCut (Rother et al., SIGGRAPH 2004) each object is a distribution of colours in Lab, learnt while it was alone, and a pixel
goes to the likelier one; here it is one Gaussian, and instead of a cut through a graph neighbouring pixels are averaged into cells,
some ten across an object, so that grain and noise do not decide. What both objects could have is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_ACROSS = 10.0  # cells across an object
_WHOLE = 0.95  # share of a cell under the mask from which on it shows nothing but the object
_SEEN = 0.3  # share of a cell under the mask from which on it is judged
_LEAST_CORE = 6  # cells from which a variance is taken
_LEAST_GRAIN = 4.0  # variance of 255 squared that even a plain object has: rounding, changes of light that are not quite known
_ODDS = 2.0  # log of the odds from which on a cell is decided


@dataclass(frozen=True)
class Coat:
    """The colours of an object.

    Attributes:
        tint: mean in CIE Lab, each of 255, float64 [3].
        grain: variance from cell to cell, float64 [3].
        area: in pixels.
        light: of the images it was seen on, see `scene_cut.SceneCutDetector`.
    """

    tint: NDArray[np.float64]
    grain: NDArray[np.float64]
    area: float
    light: float


@dataclass(frozen=True)
class _Cells:
    """A masked piece of an image in cells: mean Lab [h, w, 3], which of them are well inside, which are judged; its (x, y, w, h)."""

    lab: NDArray[np.float32]
    core: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    place: tuple[int, int, int, int]


def grain_of(color: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """How much the colour under a bool [H, W] mask of an RGB uint8 [H, W, 3] image changes from cell to cell.

    Returns:
        Variance of CIE Lab, each of 255, float64 [3]; None when there are too few cells.
    """
    cells = _cells(color, mask, float(np.count_nonzero(mask)))
    if cells is None or np.count_nonzero(cells.core) < _LEAST_CORE:
        return None
    return np.asarray(cells.lab[cells.core].astype(np.float64).var(0))


def shared_out(
    color: NDArray[np.uint8], union: NDArray[np.bool_], one: Coat, other: Coat, light: float
) -> NDArray[np.float32] | None:
    """Shares out the pixels of two objects.

    Args:
        color: RGB uint8 [H, W, 3].
        union: bool [H, W], pixels that are one's or the other's.
        one, other: what they look like.
        light: of this image.

    Returns:
        float32 [H, W] from 1, the first one's, to -1, the other's; 0 where nothing is decided. None for an empty union.
    """
    brighter = float(np.exp((one.light + other.light) / 2 - light))
    cells = _cells(color, union, min(one.area, other.area), brighter)
    if cells is None:
        return None
    grain = (one.grain + other.grain) / 2 + _LEAST_GRAIN
    odds = (((cells.lab - other.tint) ** 2 - (cells.lab - one.tint) ** 2) / (2 * grain)).sum(2)
    verdict = np.where(cells.judged & (np.abs(odds) > _ODDS), np.sign(odds), 0.0).astype(np.float32)
    x, y, width, height = cells.place
    full = np.zeros(union.shape, np.float32)
    full[y : y + height, x : x + width] = cv2.resize(verdict, (width, height), interpolation=cv2.INTER_LINEAR)
    return full


def _cells(color: NDArray[np.uint8], mask: NDArray[np.bool_], area: float, brighter: float = 1.0) -> _Cells | None:
    """The piece of an image under a mask in cells of a size that suits an object of `area` pixels; None for an empty mask."""
    place = x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    side = max(float(np.sqrt(area)) / _ACROSS, 1.0)
    size = max(round(width / side), 1), max(round(height / side), 1)
    window = np.s_[y : y + height, x : x + width]
    small = cv2.resize(np.ascontiguousarray(color[window]), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(mask[window].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(cv2.convertScaleAbs(small, alpha=brighter), cv2.COLOR_RGB2LAB).astype(np.float32)
    core = cv2.erode((share > _WHOLE).astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    # Means over 3 x 3 cells, in which the rim does not count: other things shine through there.
    weight = core.astype(np.float32)
    total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(lab * weight[..., None], (3, 3), borderType=cv2.BORDER_CONSTANT) / np.maximum(total, 1e-6)[..., None]
    return _Cells(mean, core.view(np.bool_), (total > 1e-3) & (share > _SEEN), place)
