# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The colours of an object, as a density over samples from images on which it was alone."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

_ACROSS = 10.0  # cells across an object


_MOST = 4000.0  # cells of a piece of an image: beside something large, cells grow


_PIXELS = 8.0  # pixels that are looked at along a cell, at the least


_WHOLE = 0.95  # share of a cell under the mask from which on it shows nothing but the object


_SEEN = 0.3  # share of a cell under the mask from which on it is judged


_LEAST_CORE = 6  # cells that an object must show to be known


_SAMPLES = 16  # cells that are kept of an image


_IMAGES = 6  # the latest ones are kept


_WIDTH = 2.5  # standard deviation of a kernel in CIE Lab, of 255


@dataclass(frozen=True)
class Cells:
    """A masked piece of an image in cells: mean RGB [h, w, 3], which of them are well inside, which are judged; its (x, y, w, h)."""

    rgb: NDArray[np.float32]
    core: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    place: tuple[int, int, int, int]


@dataclass
class ColorModel:
    """The colours of an object, learnt on images on which it was alone.

    Attributes:
        samples: for each of the latest images RGB of some cells, float32 [K, 3], and the image's light.
        area: in pixels, on the latest of them.
    """

    samples: deque[tuple[NDArray[np.float32], float]] = field(default_factory=lambda: deque(maxlen=_IMAGES))
    area: int = 0

    def update(self, color: NDArray[np.uint8], mask: NDArray[np.bool_], exposure: float) -> None:
        """Takes in an RGB uint8 [H, W, 3] image with the object's bool [H, W] mask; `light` as of `scene_cut.SceneCutDetector`."""
        area = int(np.count_nonzero(mask))
        cells = cells_of(color, mask, area)
        core = cells.rgb[cells.core] if cells is not None else ()
        if len(core) >= _LEAST_CORE:
            self.area = area
            self.samples.append((core[np.linspace(0, len(core) - 1, min(_SAMPLES, len(core))).astype(int)], exposure))

    def density(self, lab: NDArray[np.float32], exposure: float) -> NDArray[np.float32]:
        """How much colours in CIE Lab [N, 3] are its own in some light: [N], 0..1."""
        samples = lab_of(np.concatenate([rgb * math.exp(exposure - then) for rgb, then in self.samples])[None])[0]
        apart = (lab**2).sum(-1)[:, None] + (samples**2).sum(-1) - 2 * (lab @ samples.T)
        return np.asarray(np.exp(apart / (-2 * _WIDTH**2)).mean(-1), np.float32)


def cells_of(color: NDArray[np.uint8], mask: NDArray[np.bool_], area: int) -> Cells | None:
    """The piece of an image under a mask in cells of a size that suits an object of `area` pixels; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    side = max(math.sqrt(area) / _ACROSS, math.sqrt(width * height / _MOST), 1.0)
    size = max(round(width / side), 1), max(round(height / side), 1)
    step = max(int(side / _PIXELS), 1)
    window = np.s_[y : y + height : step, x : x + width : step]
    rgb = cv2.resize(np.ascontiguousarray(color[window]), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    share = cv2.resize(mask[window].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    core = cv2.erode((share > _WHOLE).astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    # Means over 3 x 3 cells, in which the rim does not count: other things shine through there.
    weight = core.astype(np.float32)
    total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(rgb * weight[..., None], (3, 3), borderType=cv2.BORDER_CONSTANT) / np.maximum(total, np.float32(1e-6))[..., None]
    return Cells(np.asarray(mean, np.float32), core.view(np.bool_), (total > 1e-3) & (share > _SEEN), (x, y, width, height))


def lab_of(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """RGB [h, w, 3], each of 255, in CIE Lab, each of 255."""
    lab = cv2.cvtColor((rgb / np.float32(255)).clip(0, 1), cv2.COLOR_RGB2LAB)
    return np.asarray(lab * np.array((2.55, 1, 1), np.float32), np.float32)
