# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Removal of small regions from masks. A small region costs little IoU, but a single one can double the size of a box."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, mask_box

MIN_PIXELS = 5
Window = tuple[slice, slice]
WHOLE: Window = (slice(0, None), slice(0, None))
_KERNEL = np.ones((3, 3), np.uint8)
_LARGE_KERNEL = np.ones((5, 5), np.uint8)


def remove_small_regions(mask: NDArray[np.bool_], min_region_ratio: float, window: Window = WHOLE) -> Box | None:
    """Remove small regions from a mask in place, and return the box of the remaining mask.

    A morphological closing and opening with a 3 x 3 kernel first removes holes and lines of one pixel. Then every connected region goes
    that has fewer than 5 pixels, or less than `min_region_ratio` of the area of the largest region.

    Args:
        mask: bool [H, W], changed in place.
        min_region_ratio: minimum area of a region relative to the largest one, 0..1. Set to 0 to keep the mask unchanged.
        window: rows and columns to process. The mask must be empty outside this window.

    Returns:
        (x_min, y_min, x_max, y_max) in pixels, or None for an empty mask.
    """
    inside = mask[window]
    box = mask_box(inside) if inside.size else None
    if box is None:
        return None
    x, y, end_x, end_y = map(int, box)
    cropped = inside[y:end_y, x:end_x]
    x, y = x + window[1].start, y + window[0].start
    if not min_region_ratio:
        return float(x), float(y), float(x + cropped.shape[1]), float(y + cropped.shape[0])
    padded = cv2.copyMakeBorder(cropped.view(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    # The two erosions between the dilations of a closing and an opening are one with a larger kernel.
    smooth = cv2.dilate(cv2.erode(cv2.dilate(padded, _KERNEL), _LARGE_KERNEL), _KERNEL)
    # Most masks are a single region without a hole, which has exactly one contour and needs no labeling.
    if len(cv2.findContours(smooth, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]) != 1:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=8, ltype=cv2.CV_16U)
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0  # the background
        smooth = (areas >= max(MIN_PIXELS, min_region_ratio * areas.max()))[labels].view(np.uint8)
    cropped[:] = smooth[2:-2, 2:-2]
    remaining = mask_box(cropped)
    return (x + remaining[0], y + remaining[1], x + remaining[2], y + remaining[3]) if remaining is not None else None
