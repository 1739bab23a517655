# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks of an image from mask logits, computed with NumPy around the positive logits only. Most of an image has no positive logit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.segmentation.small_regions import Window


def image_masks_on_cpu(low_res_logits: NDArray[np.floating], height: int, width: int) -> tuple[NDArray[np.bool_], list[Window]]:
    """Compute `postprocess.image_masks` with NumPy.

    The result equals the interpolation of PyTorch to the last bit, except for fused multiply-adds.

    Args:
        low_res_logits: mask logits [N, h, w].
        height: height of the image in pixels.
        width: width of the image in pixels.

    Returns:
        bool [N, H, W], and for each mask the window outside which it is empty.
    """
    masks, windows = np.zeros((len(low_res_logits), height, width), np.bool_), []
    above, below, row_weights = _interpolation_cells(low_res_logits.shape[1], height, low_res_logits.dtype)
    left, right, column_weights = _interpolation_cells(low_res_logits.shape[2], width, low_res_logits.dtype)
    for logits, mask in zip(low_res_logits, masks):
        window = image_window(cv2.boundingRect((logits > 0).view(np.uint8)), logits.shape, height, width)
        windows.append(window)
        weight = column_weights[window[1]]
        stretched = logits[:, left[window[1]]] * (1 - weight) + logits[:, right[window[1]]] * weight
        weight = row_weights[window[0], None]
        upper, lower = stretched[above[window[0]]], stretched[below[window[0]]]
        upper *= 1 - weight
        lower *= weight
        upper += lower
        np.greater(upper, 0, out=mask[window])
    return masks, windows


def image_window(rectangle: tuple[int, ...] | Any, low_res_shape: tuple[int, ...], height: int, width: int) -> Window:
    """Return the window of the image that a rectangle of mask logits influences.

    Args:
        rectangle: left, top, width and height of the rectangle, in cells.
        low_res_shape: shape (h, w) of the mask logits.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """
    x, y, columns, rows = rectangle
    above, below, _ = _interpolation_cells(low_res_shape[0], height, np.dtype(np.float32))
    left, right, _ = _interpolation_cells(low_res_shape[1], width, np.dtype(np.float32))
    row_window = slice(int(np.searchsorted(below, y)), int(np.searchsorted(above, y + rows)))
    return row_window, slice(int(np.searchsorted(right, x)), int(np.searchsorted(left, x + columns)))


@lru_cache(maxsize=16)
def _interpolation_cells(size: int, target: int, dtype: np.dtype[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Return for each of `target` pixels the two of `size` cells around its center, and the weight of the second cell."""
    scale = dtype.type(size) / dtype.type(target)
    center = np.maximum(scale * (np.arange(target, dtype=dtype) + dtype.type(0.5)) - dtype.type(0.5), 0)
    first = center.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), (center - first).astype(dtype)
