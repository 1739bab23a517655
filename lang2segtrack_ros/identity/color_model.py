# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The color model of an object: a density over color samples from images that show the object apart from others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_CELLS_ACROSS = 10.0  # number of cells across an object
_MAX_CELLS = 4000.0  # maximum number of cells in a piece of an image; a large neighbor makes the cells larger
_PIXELS_PER_CELL = 8.0  # minimum number of sampled pixels along the side of a cell
_MIN_CORE_RATIO = 0.95  # ratio of a cell under the mask above which the cell shows only the object
_MIN_JUDGED_RATIO = 0.3  # ratio of a cell under the mask above which the cell is judged
_MIN_CORE_CELLS = 6  # minimum number of core cells to update the model of an object
_SAMPLES_PER_IMAGE = 16
_MAX_IMAGES = 6  # number of latest images whose samples are kept
_KERNEL_STD = 2.5  # standard deviation of the kernel in CIE Lab, on a scale of 0..255


@dataclass(frozen=True)
class Cells:
    """The piece of an image around a mask, divided into h x w cells.

    Attributes:
        rgb: float32 [h, w, 3], mean RGB color.
        core: bool [h, w], cells well inside the mask.
        judged: bool [h, w], cells whose owner can be decided.
        window: (x, y, width, height) of the piece in pixels of the image.
    """

    rgb: NDArray[np.float32]
    core: NDArray[np.bool_]
    judged: NDArray[np.bool_]
    window: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class ColorModel:
    """The colors of an object, from images that show it apart from others.

    Attributes:
        samples: for each of the latest images, RGB colors of some cells, float32 [K, 3], and the exposure of the image.
        area: area of the object in pixels on the latest of these images.
    """

    samples: tuple[tuple[NDArray[np.float32], float], ...] = ()
    area: int = 0

    def updated(self, color: NDArray[np.uint8], mask: NDArray[np.bool_], exposure: float) -> ColorModel:
        """Return the model with the colors of the object on one more image.

        Args:
            color: RGB uint8 [H, W, 3].
            mask: bool [H, W], mask of the object.
            exposure: exposure of the image, see `scene_cut.SceneState`.
        """
        area = int(np.count_nonzero(mask))
        cells = cells_of(color, mask, area)
        core = cells.rgb[cells.core] if cells is not None else ()
        if len(core) < _MIN_CORE_CELLS:
            return self
        sample = core[np.linspace(0, len(core) - 1, min(_SAMPLES_PER_IMAGE, len(core))).astype(int)]
        return ColorModel((*self.samples, (sample, exposure))[-_MAX_IMAGES:], area)

    def density(self, lab: NDArray[np.float32], exposure: float) -> NDArray[np.float32]:
        """Return the density of the model at CIE Lab colors [N, 3] of an image with this exposure: [N], 0..1."""
        samples, squares = _lab_samples(self, exposure)
        products = lab @ samples.T
        products *= 2
        squared_distance = (lab**2).sum(-1)[:, None] + squares
        squared_distance -= products
        squared_distance /= -2 * _KERNEL_STD**2
        return np.asarray(np.add.reduce(np.exp(squared_distance, out=squared_distance), -1) / len(samples), np.float32)


@lru_cache(maxsize=64)
def _lab_samples(model: ColorModel, exposure: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the samples of a model in CIE Lab [K, 3], at this exposure, and their squared lengths [K].

    An object in several crossings needs them several times on one image.
    """
    scaled = [rgb * math.exp(exposure - sample_exposure) for rgb, sample_exposure in model.samples]
    samples = rgb_to_lab(np.concatenate(scaled)[None])[0]
    return samples, np.asarray((samples**2).sum(-1), np.float32)


def cells_of(color: NDArray[np.uint8], mask: NDArray[np.bool_], area: int) -> Cells | None:
    """Divide the piece of an image around a mask into cells. The size of a cell fits an object of `area` pixels.

    Args:
        color: RGB uint8 [H, W, 3].
        mask: bool [H, W].
        area: area of the object in pixels.

    Returns:
        The cells, or None for an empty mask.
    """
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if not width:
        return None
    side = max(math.sqrt(area) / _CELLS_ACROSS, math.sqrt(width * height / _MAX_CELLS), 1.0)
    size = max(round(width / side), 1), max(round(height / side), 1)
    step = max(int(side / _PIXELS_PER_CELL), 1)
    window = np.s_[y : y + height : step, x : x + width : step]
    rgb = cv2.resize(np.ascontiguousarray(color[window]), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    ratio = cv2.resize(mask[window].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    core = cv2.erode((ratio > _MIN_CORE_RATIO).astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    # Colors are means over 3 x 3 cells without the rim of the mask, because other surfaces show through at the rim.
    weight = core.astype(np.float32)
    total = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(rgb * weight[..., None], (3, 3), borderType=cv2.BORDER_CONSTANT) / np.maximum(total, np.float32(1e-6))[..., None]
    judged = (total > 1e-3) & (ratio > _MIN_JUDGED_RATIO)
    return Cells(np.asarray(mean, np.float32), core.view(np.bool_), judged, (x, y, width, height))


def rgb_to_lab(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert RGB [h, w, 3] to CIE Lab. All channels are on a scale of 0..255."""
    lab = cv2.cvtColor((rgb / np.float32(255)).clip(0, 1), cv2.COLOR_RGB2LAB)
    return np.asarray(lab * np.array((2.55, 1, 1), np.float32), np.float32)
