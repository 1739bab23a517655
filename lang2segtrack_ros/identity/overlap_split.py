# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Whose pixels are whose while two objects overlap: what has the colour of one of them, and not of the other, is that one's.

As in GrabCut (Rother et al., SIGGRAPH 2004) each object is a distribution of colours, and a pixel goes to the likelier one. Here the
distribution is a kernel density over samples from the latest images on which the object was alone; and instead of a cut through a graph,
neighbouring pixels are averaged into cells, some ten across an object, so that grain and noise do not decide. What both objects could
have, and what neither has, is left as it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.color_model import ColorModel, cells_of, lab_of

_NOWHERE = 1e-4  # density, of a kernel's greatest, of a colour that an object does not have
_ODDS = 2.0  # log of the odds from which on a cell is decided


def split_overlap(
    color: NDArray[np.uint8], union: NDArray[np.bool_], models: tuple[ColorModel, ColorModel], exposure: float
) -> NDArray[np.float32]:
    """Shares out the pixels of two objects.

    Args:
        color: RGB uint8 [H, W, 3].
        union: bool [H, W], pixels that are the one's or the other's.
        coats: what the two look like.
        light: of this image.

    Returns:
        float32 [H, W] from 1, the first one's, to -1, the second one's; 0 where nothing is decided. Outside of the
        union it means nothing.
    """
    ownership = np.zeros(union.shape, np.float32)
    cells = cells_of(color, union, min(model.area for model in models)) if all(model.samples for model in models) else None
    if cells is None or not cells.judged.any():
        return ownership
    lab = lab_of(cells.rgb[cells.judged][None])[0]
    first, second = (np.log(model.density(lab, exposure) + _NOWHERE) for model in models)
    verdict = np.zeros(cells.judged.shape, np.float32)
    verdict[cells.judged] = np.where(np.abs(first - second) > _ODDS, np.sign(first - second), 0)
    x, y, width, height = cells.place
    ownership[y : y + height, x : x + width] = cv2.resize(verdict, (width, height), interpolation=cv2.INTER_LINEAR)
    return ownership
