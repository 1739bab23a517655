# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pixel ownership of two overlapping objects, decided by color.

As in GrabCut (Rother et al., SIGGRAPH 2004), each object is a distribution of colors, and a pixel belongs to the object with the higher
likelihood. Two points differ from GrabCut. The distribution is a kernel density over color samples (`ColorModel`). Instead of a graph
cut, adjacent pixels are averaged into cells, about ten across an object, which suppresses texture and noise.

Pixels stay undecided if both objects have their color, or if neither object has it. The masks of the segmenter stay unchanged there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.color_model import ColorModel, cells_of, rgb_to_lab

_MIN_DENSITY = 1e-4  # density of a color that an object does not have, relative to the maximum of a kernel
_MIN_LOG_ODDS = 2.0  # log odds above which a cell is decided


def split_overlap(
    color: NDArray[np.uint8], union: NDArray[np.bool_], models: tuple[ColorModel, ColorModel], exposure: float
) -> NDArray[np.float32]:
    """Compute the ownership of the pixels of two overlapping objects.

    Args:
        color: RGB uint8 [H, W, 3].
        union: bool [H, W], pixels of either object.
        models: color models of the two objects.
        exposure: exposure of the image, see `scene_cut.SceneState`.

    Returns:
        float32 [H, W] from 1 (first object) to -1 (second object), and 0 for undecided pixels. Values outside `union` have no meaning.
    """
    ownership = np.zeros(union.shape, np.float32)
    cells = cells_of(color, union, min(model.area for model in models)) if all(model.samples for model in models) else None
    if cells is None or not cells.judged.any():
        return ownership
    lab = rgb_to_lab(cells.rgb[cells.judged][None])[0]
    first, second = (np.log(model.density(lab, exposure) + _MIN_DENSITY) for model in models)
    cell_ownership = np.zeros(cells.judged.shape, np.float32)
    cell_ownership[cells.judged] = np.where(np.abs(first - second) > _MIN_LOG_ODDS, np.sign(first - second), 0)
    x, y, width, height = cells.window
    ownership[y : y + height, x : x + width] = cv2.resize(cell_ownership, (width, height), interpolation=cv2.INTER_LINEAR)
    return ownership
