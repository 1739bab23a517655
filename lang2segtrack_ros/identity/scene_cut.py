# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of scene cuts and of changes in exposure."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (16, 12)
_ROWS = 120
_DARK = 3.0  # added to the sum of the three channels, so that the logarithm of black parts is finite


class SceneCutDetector:
    """Detector of scene cuts that compares thumbnails of consecutive images.

    A cut has two conditions: a large difference from the previous image, and a low normalized correlation with it. A change of
    illumination keeps the correlation high. A moving object or a shaking camera leaves most of the image unchanged.

    Args:
        correlation: correlation below which two images show different scenes, 0..1. Set to 0 to detect no cuts.
        difference: minimum mean absolute difference of two images around a cut, on a scale of 0..255.

    Attributes:
        exposure: logarithm of the brightness relative to the first image. It sums the median change over the parts of the image from
            frame to frame, which excludes moving objects. A cut does not change it.
    """

    def __init__(self, correlation: float = 0.5, difference: float = 8.0) -> None:
        self.correlation = correlation
        self.difference = difference
        self.exposure = 0.0
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None  # thumbnail, and log brightness of its parts

    def reset(self) -> None:
        """Drop the previous image. The exposure continues, because stored color samples refer to it."""
        self._last = None

    def update(self, color: NDArray[np.uint8]) -> bool:
        """Take the next image, RGB uint8 [H, W, 3], and return True if it follows a cut."""
        step = max(1, color.shape[0] // _ROWS)  # a subset of the pixels of a large image is enough
        subsampled = cv2.resize(color, (color.shape[1] // step, color.shape[0] // step), interpolation=cv2.INTER_NEAREST)
        thumbnail = cv2.resize(subsampled, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        brightness = np.log(thumbnail.sum(axis=2) + np.float32(_DARK))
        last, self._last = self._last, (thumbnail, brightness)
        if last is None:
            return False
        if self.correlation > 0 and self._is_cut(last[0], thumbnail):
            return True
        change = np.sort(brightness - last[1], axis=None)
        # This is the median. np.median would take as long as the rest of this method.
        self.exposure += float(change[brightness.size // 2 - 1] + change[brightness.size // 2]) / 2
        return False

    def _is_cut(self, last: NDArray[np.float32], thumbnail: NDArray[np.float32]) -> bool:
        if cv2.norm(thumbnail, last, cv2.NORM_L1) <= self.difference * thumbnail.size:
            return False
        one, two = last - last.mean(axis=(0, 1)), thumbnail - thumbnail.mean(axis=(0, 1))
        norm = float(np.sqrt((one**2).sum() * (two**2).sum()))
        correlation = float((one * two).sum()) / norm if norm > 0 else 1.0
        return correlation < self.correlation
