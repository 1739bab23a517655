# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of scene cuts and of changes in exposure, from thumbnails of consecutive images.

A cut has two conditions: a large difference from the previous image, and a low normalized correlation with it. A change of illumination
keeps the correlation high. A moving object or a shaking camera leaves most of the image unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.options import option

_SIZE = (16, 12)
_ROWS = 120
_DIFFERENCE = 8.0  # minimum mean absolute difference of two images around a cut, on a scale of 0..255
_DARK = 3.0  # added to the sum of the three channels, so that the logarithm of black parts is finite


@dataclass(frozen=True)
class SceneCutOptions:
    """Options of the detection of scene cuts."""

    scene_cut_threshold: float = option(
        0.5, "Correlation of consecutive images below which a scene cut is assumed. Set to 0 to disable.", 0.0, 1.0
    )


@dataclass(frozen=True, eq=False)
class SceneState:
    """The latest image of a stream, and the exposure since its start.

    Attributes:
        thumbnail: float32 [12, 16, 3], the latest image. None before the first one.
        brightness: float32 [12, 16], log brightness of the parts of the latest image.
        exposure: logarithm of the brightness relative to the first image. It sums the median change over the parts of the image from
            frame to frame, which excludes moving objects. A cut does not change it.
        size: height and width of the latest image in pixels.
    """

    thumbnail: NDArray[np.float32] | None = None
    brightness: NDArray[np.float32] | None = None
    exposure: float = 0.0
    size: tuple[int, int] = (0, 0)

    def restarted(self) -> SceneState:
        """Return the state without the previous image. The exposure continues, because stored color samples refer to it."""
        return SceneState(exposure=self.exposure)

    def next(self, color: NDArray[np.uint8], options: SceneCutOptions) -> tuple[SceneState, bool]:
        """Return the state after the next image, and True if a cut lies before that image.

        Args:
            color: the image, RGB uint8 [H, W, 3].
            options: see `SceneCutOptions`.
        """
        step = max(1, color.shape[0] // _ROWS)  # a subset of the pixels of a large image is enough
        subsampled = cv2.resize(color, (color.shape[1] // step, color.shape[0] // step), interpolation=cv2.INTER_NEAREST)
        thumbnail = cv2.resize(subsampled, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        brightness = np.log(thumbnail.sum(axis=2) + np.float32(_DARK))
        size = color.shape[0], color.shape[1]
        if self.thumbnail is None or self.brightness is None:
            return SceneState(thumbnail, brightness, self.exposure, size), False
        if options.scene_cut_threshold > 0 and _is_cut(self.thumbnail, thumbnail, options.scene_cut_threshold):
            return SceneState(thumbnail, brightness, self.exposure, size), True
        change = np.sort(brightness - self.brightness, axis=None)
        # This is the median. np.median would take as long as the rest of this method.
        median = float(change[brightness.size // 2 - 1] + change[brightness.size // 2]) / 2
        return SceneState(thumbnail, brightness, self.exposure + median, size), False


def _is_cut(last: NDArray[np.float32], thumbnail: NDArray[np.float32], threshold: float) -> bool:
    if cv2.norm(thumbnail, last, cv2.NORM_L1) <= _DIFFERENCE * thumbnail.size:
        return False
    one, two = last - last.mean(axis=(0, 1)), thumbnail - thumbnail.mean(axis=(0, 1))
    norm = float(np.sqrt((one**2).sum() * (two**2).sum()))
    correlation = float((one * two).sum()) / norm if norm > 0 else 1.0
    return correlation < threshold
