# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Notices that everything on the image has changed at once."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = (16, 12)
_ROWS = 240


class SceneCutDetector:
    """Compares small versions of consecutive images.

    An image follows a cut when it differs much from the last one and does not resemble it either: their normalised correlation is
    low. A change of light alone keeps the correlation, a moving object or a shaken camera keeps most of the picture.

    Args:
        correlation: 0..1; below, images do not resemble each other. 0 finds no cut.
        difference: mean absolute difference of 255 that counts as much.
    """

    def __init__(self, correlation: float = 0.5, difference: float = 8.0) -> None:
        self.correlation = correlation
        self.difference = difference
        self._last: NDArray[np.float32] | None = None

    def reset(self) -> None:
        """Forgets the last image."""
        self._last = None

    def update(self, color: NDArray[np.uint8]) -> bool:
        """Whether the RGB uint8 [H, W, 3] image follows a cut."""
        step = max(1, color.shape[0] // _ROWS)  # of a large image not every pixel need be looked at
        thinned = cv2.resize(color, (color.shape[1] // step, color.shape[0] // step), interpolation=cv2.INTER_NEAREST)
        small = cv2.resize(thinned, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, small
        if last is None or self.correlation <= 0:
            return False
        one, two = last - last.mean(axis=(0, 1)), small - small.mean(axis=(0, 1))
        spread = float(np.sqrt((one**2).sum() * (two**2).sum()))
        alike = float((one * two).sum()) / spread if spread > 0 else 1.0
        return alike < self.correlation and float(np.abs(small - last).mean()) > self.difference
