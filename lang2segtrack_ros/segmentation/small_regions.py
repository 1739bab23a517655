# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Takes specks off masks: they cost little IoU, but one of them makes a box twice as large."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, mask_box

MIN_PIXELS = 5
Window = tuple[slice, slice]
WHOLE: Window = (slice(0, None), slice(0, None))
_KERNEL = np.ones((3, 3), np.uint8)


def remove_small_regions(mask: NDArray[np.bool_], min_region_ratio: float, window: Window = WHOLE) -> Box | None:
    """Takes the specks off a bool [H, W] mask, in place; returns the box of what is left.

    Holes and hairs of one pixel are closed and opened away; then every connected part goes that has fewer than 5 pixels or less than
    `min_region_ratio` (0..1) of the largest part's. With 0 the mask stays as it is. Outside of `window` it must be empty.
    """
    inside = mask[window]
    box = mask_box(np.ascontiguousarray(inside)) if inside.size else None
    if box is None:
        return None
    x, y, end_x, end_y = map(int, box)
    place = inside[y:end_y, x:end_x]
    x, y = x + window[1].start, y + window[0].start
    if not min_region_ratio:
        return float(x), float(y), float(x + place.shape[1]), float(y + place.shape[0])
    framed = cv2.copyMakeBorder(place.view(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=0)
    smooth = cv2.morphologyEx(cv2.morphologyEx(framed, cv2.MORPH_CLOSE, _KERNEL), cv2.MORPH_OPEN, _KERNEL)
    if len(cv2.findContours(smooth, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]) != 1:  # else one part without a hole, as nearly always
        _, labels, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=8, ltype=cv2.CV_16U)
        areas = stats[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0  # the background
        smooth = (areas >= max(MIN_PIXELS, min_region_ratio * areas.max()))[labels].view(np.uint8)
    place[:] = smooth[2:-2, 2:-2]
    left = mask_box(np.ascontiguousarray(place))
    return (x + left[0], y + left[1], x + left[2], y + left[3]) if left is not None else None
