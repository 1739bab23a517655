# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of scores and boxes of a network to detections."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.detector import Detection


def corners_of(boxes: Tensor, scale: tuple[int, int]) -> NDArray[np.float64]:
    """Return boxes as float64 [queries, 4]: x_min, y_min, x_max, y_max in pixels.

    Args:
        boxes: float [queries, 4]: center x, center y, width, height, each relative to the input of the network (0..1).
        scale: width and height of this input in pixels of the image.
    """
    scaled = boxes.float().cpu().numpy() * (*scale, *scale)
    corners: NDArray[np.float64] = np.concatenate((scaled[:, :2] - scaled[:, 2:] / 2, scaled[:, :2] + scaled[:, 2:] / 2), axis=1)
    return corners


def best_detections(
    scores: Tensor, corners: NDArray[np.float64], size: tuple[int, ...], labels: Sequence[str], thresholds: Sequence[float]
) -> list[Detection]:
    """Return a detection with the best label for each box whose score reaches the threshold of this label.

    Args:
        scores: float [queries, labels], 0..1.
        corners: [queries, 4]; see `corners_of`. Boxes are clipped to the image, and those narrower than a pixel are left out.
        size: height and width of the image in pixels.
        labels: the labels.
        thresholds: minimum score for each label, 0..1.
    """
    best, label = (tensor.cpu().numpy() for tensor in scores.max(dim=1))
    height, width = size
    clipped = np.clip(corners, 0, (width, height, width, height))
    return [
        Detection(labels[label[query]], float(best[query]), (float(x1), float(y1), float(x2), float(y2)))
        for query, (x1, y1, x2, y2) in enumerate(clipped)
        if best[query] >= thresholds[label[query]] and min(x2 - x1, y2 - y1) >= 1
    ]
