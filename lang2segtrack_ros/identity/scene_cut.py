# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Notices that everything on the image has changed at once, and how the light changes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (16, 12)
_ROWS = 120
_DARK = 3.0  # added to the sum of the three channels, so that black parts have a ratio


class SceneCutDetector:
    """Compares small versions of consecutive images.

    An image follows a cut when it differs much from the last one and does not resemble it either: their normalised correlation is
    low. A change of light alone keeps the correlation, a moving object or a shaken camera keeps most of the picture.

    Args:
        correlation: 0..1; below, images do not resemble each other. 0 finds no cut.
        difference: mean absolute difference of 255 that counts as much.

    Attributes:
        light: log of how bright images have become since the first: the median of a picture's parts from one image to the next, summed,
            so that what moves does not count. A cut changes nothing.
    """

    def __init__(self, correlation: float = 0.5, difference: float = 8.0) -> None:
        self.correlation = correlation
        self.difference = difference
        self.exposure = 0.0
        self._last: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None  # small, and how bright its parts are

    def reset(self) -> None:
        """Forgets the last image; the light stays comparable with what is remembered of it."""
        self._last = None

    def update(self, color: NDArray[np.uint8]) -> bool:
        """Whether the RGB uint8 [H, W, 3] image follows a cut."""
        step = max(1, color.shape[0] // _ROWS)  # of a large image not every pixel need be looked at
        thinned = cv2.resize(color, (color.shape[1] // step, color.shape[0] // step), interpolation=cv2.INTER_NEAREST)
        small = cv2.resize(thinned, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        bright = np.log(small.sum(axis=2) + np.float32(_DARK))
        last, self._last = self._last, (small, bright)
        if last is None:
            return False
        if self.correlation > 0 and self._is_cut(last[0], small):
            return True
        apart = np.sort(bright - last[1], axis=None)
        self.exposure += float(apart[bright.size // 2 - 1] + apart[bright.size // 2]) / 2  # np.median takes as long as all of this
        return False

    def _is_cut(self, last: NDArray[np.float32], small: NDArray[np.float32]) -> bool:
        if cv2.norm(small, last, cv2.NORM_L1) <= self.difference * small.size:
            return False
        one, two = last - last.mean(axis=(0, 1)), small - small.mean(axis=(0, 1))
        spread = float(np.sqrt((one**2).sum() * (two**2).sum()))
        alike = float((one * two).sum()) / spread if spread > 0 else 1.0
        return alike < self.correlation
