# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies of a scene: what they look like, how they move, and where they are on a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.shapes import OCCLUDERS


def back_and_forth(index: int, length: int) -> int:
    """Return the position on a path of some length that is followed to its end and back again."""
    last = max(length - 1, 1)
    offset = index % (2 * last)
    return min(offset, 2 * last - offset, length - 1)


@dataclass(frozen=True, eq=False)
class Body:
    """Shape that moves along a path, or periodically around a point.

    Attributes:
        color, shape: names; together they form the label. A thing has an empty color, and its name as shape. A pillar or a hand has no
            label and only occludes.
        center: (x, y) of the middle of the periodic motion, as a fraction of image width and height.
        amplitude: (x, y) amplitudes of the periodic motion, in the same units.
        period: (x, y) periods in frames.
        phase: (x, y) phases in radians at frame 0.
        radius_m: half the size in meters.
        depth_m: distance from the camera in meters.
        spin: rotation speed in radians per frame.
        path: float64 [T, 3] instead of the periodic motion: x and y as in `center`, and the distance in meters, of each frame.
        rotation: rotation in radians at frame 0.
        aspect_ratio: width over height.
        relief_m: height of the bulge in the middle of the surface, towards the camera, in meters.
        color_gain: factor of each color channel; None draws one from the scene's seed.
        texture: standard deviation of the texture noise, on a scale of 255.
        shade: brightness of the right side minus that of the middle, on a scale of 255.
        tilt: rotation of a thing about the vertical and about the horizontal axis in radians.
        first, last: range of frames on which the body exists; `last` is exclusive, None for no end.
    """

    color: str
    shape: str
    center: tuple[float, float] = (0.5, 0.5)
    amplitude: tuple[float, float] = (0.0, 0.0)
    period: tuple[float, float] = (90.0, 70.0)
    phase: tuple[float, float] = (0.0, 0.0)
    radius_m: float = 0.22
    depth_m: float = 2.0
    spin: float = 0.0
    path: NDArray[np.float64] | None = None
    rotation: float = 0.0
    aspect_ratio: float = 1.0
    relief_m: float = 0.0
    color_gain: tuple[float, float, float] | None = None
    texture: float = 6.0
    shade: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    first: int = 0
    last: int | None = None

    @property
    def label(self) -> str:
        """Return the label, such as "red circle"; empty for a pillar or a hand."""
        return f"{self.color} {self.shape}".strip() if self.shape not in OCCLUDERS else ""

    def position(self, index: int) -> tuple[float, float, float]:
        """Return x and y as fractions of the image and the distance in meters on a frame.

        A path is followed to its end and back again.
        """
        if self.path is not None:
            x, y, z = self.path[back_and_forth(index, len(self.path))]
            return float(x), float(y), float(z)
        x, y = (self.center[a] + self.amplitude[a] * np.sin(2 * np.pi * index / self.period[a] + self.phase[a]) for a in (0, 1))
        return float(x), float(y), self.depth_m


@dataclass(frozen=True)
class BodyTruth:
    """Ground truth of one labeled body on one frame.

    Attributes:
        number: 1 + index of the body; its value in `SceneFrame.instances`.
        label: label such as "red circle".
        visible: number of visible pixels.
        fraction: visible fraction of the whole silhouette, 0..1; the part outside the image counts as hidden.
        box: (x_min, y_min, x_max, y_max) of the visible pixels, maxima exclusive; None when the body is hidden.
        center: (x, y, z) center of the surface's bounding box in the optical frame, in meters.
        extent: (x, y, z) size of that bounding box in meters.
    """

    number: int
    label: str
    visible: int
    fraction: float
    box: tuple[int, int, int, int] | None
    center: tuple[float, float, float]
    extent: tuple[float, float, float]
