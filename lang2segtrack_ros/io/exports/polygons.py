# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks as single polygons, for formats that have no masks."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lang2segtrack_ros.io.exports.id_image import window
from lang2segtrack_ros.io.exports.trace import LabeledObject

ADDED = "pixels added by polygons, which fill holes and join regions by lines"
Points = NDArray[np.int32]


def outline(item: LabeledObject, left_out: Counter[str]) -> Points:
    """Return one polygon through the centers of the border pixels of a mask.

    Several regions are joined by lines that run there and back, each from the nearest point of the polygon so far. A polygon has no holes.

    Args:
        item: the object; its mask is not empty.
        left_out: the counters to increase, by the pixels that the polygon adds.

    Returns:
        int32 [N, 2], (x, y) of pixels, N >= 3.
    """
    place = window(item)
    inside = np.ascontiguousarray(item.mask[place]).view(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    regions = sorted((np.asarray(contour, np.int32).reshape(-1, 2) for contour in contours), key=_order)
    polygon = regions[0]
    for region in regions[1:]:
        polygon = _join(polygon, region)
    while len(polygon) < 3:  # a region of one or two pixels
        polygon = np.vstack((polygon, polygon[-1:]))
    added = int(np.count_nonzero(fill(polygon, *inside.shape))) - item.area
    if added:
        left_out[ADDED] += added
    return polygon + np.array([place[1].start, place[0].start], np.int32)


def _order(region: Points) -> tuple[float, int, int]:
    """Return the sort key of a region: the largest first, then from the top left."""
    return -cv2.contourArea(region), int(region[0, 1]), int(region[0, 0])


def _join(polygon: Points, region: Points) -> Points:
    """Insert a region into a polygon, at the nearest pair of points."""
    distances, nearest = cKDTree(polygon).query(region)
    start = int(distances.argmin())
    at, turned = int(nearest[start]), np.roll(region, -start, axis=0)
    return np.vstack((polygon[: at + 1], turned, turned[:1], polygon[at:]))


def fill(polygon: Points, height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a polygon, with its border, as bool [height, width].

    Args:
        polygon: int32 [N, 2], (x, y) of pixels.
        height: of the image, pixels.
        width: of the image, pixels.
    """
    image = np.zeros((height, width), np.uint8)
    cv2.fillPoly(image, [polygon.reshape(-1, 1, 2)], 1)
    return image.astype(bool)
