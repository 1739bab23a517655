# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The appearance of an object: the color histogram under its mask.

Histograms are compared as in Swain and Ballard (IJCV 1991), with the Bhattacharyya coefficient in place of the histogram intersection.

The features of the segmenter were tested first. Their average under a mask separates objects from the background, but hardly from each
other. On crowded toy clips, 25 frames apart, the cosine was .96 to 1 for the same object and .88 to 1 for another one. The color
similarity was .99 to 1 against 0 to .56.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, mask_box

Appearance = NDArray[np.float32]
_MAX_SIDE = 64  # maximum side in pixels of the sampled piece of an image
_HUE_BINS = 16  # along each of the axes a and b of CIE Lab
_LIGHTNESS_BINS = 8
_LIGHTNESS_WEIGHT = 0.2  # illumination changes the lightness, so it counts less


def appearance_of(color: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box | None = None) -> Appearance | None:
    """Compute the appearance under a mask: the square roots of the CIE Lab histogram, with unit length.

    Args:
        color: RGB uint8 [H, W, 3].
        mask: bool [H, W].
        box: box around the mask, if the caller knows it; see `rle.mask_box`.

    Returns:
        float32 [264], or None for a mask of fewer than 16 pixels.
    """
    lab, inside = _lab_around(color, mask, box)
    if np.count_nonzero(inside) < 16:
        return None
    hue = cv2.calcHist([lab], [1, 2], inside, [_HUE_BINS, _HUE_BINS], [0, 256, 0, 256])
    lightness = cv2.calcHist([lab], [0], inside, [_LIGHTNESS_BINS], [0, 256]).ravel()
    hue = cv2.GaussianBlur(hue, (3, 3), 0.8).astype(np.float32, copy=False)  # colors near the edge of a bin vary between bins
    lightness = np.convolve(lightness, (0.25, 0.5, 0.25), mode="same").astype(np.float32)
    parts = (hue.ravel() / hue.sum() * (1 - _LIGHTNESS_WEIGHT), lightness / lightness.sum() * _LIGHTNESS_WEIGHT)
    roots: Appearance = np.sqrt(np.concatenate(parts)).astype(np.float32)
    return roots


def mean_lab_of(color: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box | None = None) -> NDArray[np.float64] | None:
    """Compute the mean color under a mask. The rim of the mask is left out, because other surfaces show through there.

    Args:
        color: RGB uint8 [H, W, 3].
        mask: bool [H, W].
        box: box around the mask, if the caller knows it; see `rle.mask_box`.

    Returns:
        float64 [3] in CIE Lab, each channel in 0..255, or None for a mask of fewer than 16 pixels.
    """
    lab, inside = _lab_around(color, mask, box)
    if np.count_nonzero(inside) < 16:
        return None
    core = cv2.erode(inside, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.array(cv2.mean(lab, core if np.count_nonzero(core) >= 16 else inside)[:3])


def _lab_around(color: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box | None) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crop an RGB image and its mask to the mask: CIE Lab uint8 [h, w, 3] and uint8 [h, w]. Large crops are subsampled."""
    box = mask_box(mask) if box is None else box
    if box is None:
        return np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8)
    x, y, end_x, end_y = map(int, box)
    step = -(-max(end_x - x, end_y - y) // _MAX_SIDE)
    window = np.s_[y:end_y:step, x:end_x:step]
    lab = cv2.cvtColor(np.ascontiguousarray(color[window]), cv2.COLOR_RGB2LAB).astype(np.uint8, copy=False)
    return lab, np.ascontiguousarray(mask[window]).view(np.uint8)


def appearance_similarity(one: Appearance | None, other: Appearance | None) -> float:
    """Return the Bhattacharyya coefficient of two appearances, 0..1, and 0 if one of them is None."""
    if one is None or other is None:
        return 0.0
    return float(one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9))
