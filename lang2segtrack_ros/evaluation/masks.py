# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Region similarity J and boundary accuracy F of DAVIS (Perazzi et al., CVPR 2016; arXiv:1704.00675)."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import mask_iou

Mask = NDArray[np.bool_]
BOUNDARY_TOLERANCE = 0.008
"""Largest distance between matching boundary pixels, as a fraction of the image's diagonal."""


def region_j(mask: Mask, truth: Mask) -> float:
    """Return the intersection over union of two masks [H, W]; 1 when both are empty."""
    return mask_iou(mask, truth) if mask.any() or truth.any() else 1.0


def boundary_f(mask: Mask, truth: Mask) -> float:
    """Return the F measure of boundary precision and recall; 1 when both masks are empty.

    A boundary pixel counts when it lies near the boundary of the other mask, see `BOUNDARY_TOLERANCE`.

    Args:
        mask: bool [H, W].
        truth: bool [H, W].
    """
    if not mask.any() or not truth.any():
        return float(not mask.any() and not truth.any())
    radius = math.ceil(BOUNDARY_TOLERANCE * math.hypot(*mask.shape))
    rows, columns = (np.flatnonzero((mask | truth).any(axis=axis)) for axis in (1, 0))
    window = np.s_[max(rows[0] - radius - 1, 0) : rows[-1] + radius + 2, max(columns[0] - radius - 1, 0) : columns[-1] + radius + 2]
    offsets = np.arange(-radius, radius + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    predicted, expected = (_boundary(m[window]) for m in (mask, truth))
    precision = float(cv2.dilate(expected, disk)[predicted > 0].mean()) if predicted.any() else 0.0
    recall = float(cv2.dilate(predicted, disk)[expected > 0].mean()) if expected.any() else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Mask) -> NDArray[np.uint8]:
    """Return the pixels that differ from their right, lower or lower right neighbor. DAVIS uses the same definition of a boundary."""
    edge = np.zeros(mask.shape, bool)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge.astype(np.uint8)
