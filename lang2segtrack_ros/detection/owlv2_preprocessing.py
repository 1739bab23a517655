# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Input images of OWLv2: padded to a square at the bottom right, blurred against aliasing, and scaled bilinearly.

The steps are those of the published image processor (`resize` of scikit-image with antialiasing). All of them are linear along each axis,
so one matrix for each axis does them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_TRUNCATE = 4.0  # radius of the Gaussian kernel in standard deviations


def pad_and_resize(color: NDArray[np.uint8], side: int, mean: Tensor, std: Tensor) -> Tensor:
    """Return an image as a normalized float32 tensor [1, 3, side, side] on the device of `mean`.

    Args:
        color: RGB uint8 [H, W, 3].
        side: side of the result in pixels.
        mean: float32 [3, 1, 1], mean of the normalization, for values of 0..1.
        std: float32 [3, 1, 1], standard deviation of the normalization.
    """
    height, width = color.shape[:2]
    matrix = resize_matrix(max(height, width), side, mean.device)
    pixels = torch.from_numpy(np.require(color, requirements=["C", "W"])).to(mean.device).permute(2, 0, 1).float() / 255.0
    resized = matrix[:, :height] @ pixels @ matrix[:, :width].T  # the padding is 0
    return ((resized - mean) / std)[None]


@lru_cache(maxsize=8)
def resize_matrix(length: int, size: int, device: torch.device) -> Tensor:
    """Return the matrix float32 [size, length] that blurs and resizes an axis.

    The Gaussian blur has the standard deviation (length / size - 1) / 2. Beyond the border, both steps read the mirrored pixels.

    Args:
        length: pixels before.
        size: pixels after.
        device: device of the matrix.
    """
    rows, centers = np.arange(size), (np.arange(size) + 0.5) * length / size - 0.5
    low = np.floor(centers).astype(int)
    resize = np.zeros((size, length))
    np.add.at(resize, (rows, _mirror(low, length)), low + 1 - centers)
    np.add.at(resize, (rows, _mirror(low + 1, length)), centers - low)
    sigma = (length / size - 1) / 2
    if sigma > 0:
        offsets = np.arange(-int(_TRUNCATE * sigma + 0.5), int(_TRUNCATE * sigma + 0.5) + 1)
        weights = np.exp(-0.5 * (offsets / sigma) ** 2)
        blur = np.zeros((length, length))
        for offset, weight in zip(offsets, weights / weights.sum()):
            np.add.at(blur, (np.arange(length), _mirror(np.arange(length) + offset, length)), weight)
        resize = resize @ blur
    with torch.inference_mode(False):
        return torch.from_numpy(resize).float().to(device)


def _mirror(index: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Return indices inside an axis, mirrored at the centers of its first and its last pixel."""
    period = max(2 * (length - 1), 1)
    folded = index % period
    return np.minimum(folded, period - folded)
