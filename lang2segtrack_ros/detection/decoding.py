# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of scores and boxes of a network to detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection


def corners_of(boxes: NDArray[np.float32], scale: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes as float64 [queries, 4]: x_min, y_min, x_max, y_max in pixels.

    Args:
        boxes: float32 [queries, 4]: center x, center y, width, height, each relative to the input of the network (0..1).
        scale: width and height of this input in pixels of the image.
    """
    center, half = boxes[:, :2], boxes[:, 2:] / 2
    corners: NDArray[np.float64] = np.concatenate((center - half, center + half), axis=1) * (*scale, *scale)
    return corners


def best_detections(
    scores: NDArray[np.float32], corners: NDArray[np.float64], size: tuple[int, ...], labels: Sequence[str], thresholds: Sequence[float]
) -> list[Detection]:
    """Return a detection with the best label for each box whose score reaches the threshold of this label.

    Args:
        scores: float32 [queries, labels], 0..1.
        corners: [queries, 4]; see `corners_of`. Boxes are clipped to the image, and those narrower than a pixel are left out.
        size: height and width of the image in pixels.
        labels: the labels.
        thresholds: minimum score for each label, 0..1.
    """
    label, best = scores.argmax(axis=1), scores.max(axis=1)
    height, width = size
    boxes = np.clip(corners, 0, (width, height, width, height))
    is_found = (best >= np.asarray(thresholds, np.float32)[label]) & ((boxes[:, 2:] - boxes[:, :2]).min(axis=1) >= 1)
    return [
        Detection(labels[number], score, (x_min, y_min, x_max, y_max))
        for number, score, (x_min, y_min, x_max, y_max) in zip(label[is_found].tolist(), best[is_found].tolist(), boxes[is_found].tolist())
    ]
