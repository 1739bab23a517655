# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Drawings of the everyday things, from one picture in the package.

They are Microsoft's Fluent Emoji (MIT, see LICENSE.txt); `tools/make_atlas.py` makes the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.toyworld.things.names import THINGS

FILE = Path(__file__).with_name("atlas.webp")
TILE, MARGIN = 160, 4
"""Side of a drawing and the empty border in it, in pixels."""
COLUMNS = 12
_SMALLEST = 20  # pixels; side of the smallest copy


@dataclass(frozen=True, eq=False)
class Sprite:
    """The drawing of a thing. Unit coordinates reach from -1 to 1 over its longer side.

    Attributes:
        pixels: float32 [S, S, 5]: red, green and blue times coverage, 0..255; coverage, 0..1; and height over its rim, 0..1.
    """

    pixels: NDArray[np.float32]

    @cached_property
    def outline(self) -> NDArray[np.float64]:
        """The corners of its silhouette in unit coordinates, [K, 2]. Holes are left out."""
        contours, _ = cv2.findContours((self.pixels[..., 3] > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        corners = np.concatenate([contour[:, 0] for contour in contours]).astype(np.float64)
        return self.to_unit(corners)

    @cached_property
    def area(self) -> float:
        """The area of its silhouette in unit coordinates, without holes."""
        return float(np.count_nonzero(self.pixels[..., 3] > 0.5)) * (2 / (TILE - 2 * MARGIN)) ** 2

    def to_unit(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return unit coordinates [K, 2] of pixels [K, 2] of the drawing; pixel centers are whole numbers."""
        unit: NDArray[np.float64] = (pixels - (TILE - 1) / 2) * (2 / (TILE - 2 * MARGIN))
        return unit

    def level(self, radius: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return a copy that a warp neither enlarges much nor samples too sparsely.

        Args:
            radius: half of its longer side in the image, in pixels.

        Returns:
            The copy, and the transform [3, 3] from its pixels to unit coordinates.
        """
        side = TILE
        while side // 2 >= max(2 * radius, _SMALLEST):
            side //= 2
        shrink = TILE / side
        scale = 2 / (TILE - 2 * MARGIN)
        offset = ((shrink - 1) / 2 - (TILE - 1) / 2) * scale
        return self._copies[side], np.array([[shrink * scale, 0, offset], [0, shrink * scale, offset], [0, 0, 1.0]])

    @cached_property
    def _copies(self) -> dict[int, NDArray[np.float32]]:
        copies = {TILE: self.pixels}
        side = TILE // 2
        while side >= _SMALLEST:
            copies[side] = cv2.resize(self.pixels, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32, copy=False)
            side //= 2
        return copies


@lru_cache(maxsize=1)
def _atlas() -> NDArray[np.uint8]:
    data = np.frombuffer(files(__package__).joinpath(FILE.name).read_bytes(), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        raise RuntimeError(f"{FILE} cannot be decoded: install an OpenCV with WebP, or the package again")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA), np.uint8)


@cache
def load_sprite(name: str) -> Sprite:
    """Return the drawing of a thing.

    Args:
        name: its name.

    Raises:
        KeyError: there is no such thing.
        RuntimeError: the atlas cannot be decoded.
    """
    index = list(THINGS).index(name) if name in THINGS else -1
    if index < 0:
        raise KeyError(f"unknown thing {name}; the things are {', '.join(THINGS)}")
    row, column = divmod(index, COLUMNS)
    return make_sprite(_atlas()[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE])


def make_sprite(picture: NDArray[np.uint8]) -> Sprite:
    """Return a sprite of a picture.

    Args:
        picture: uint8 [S, S, 4], RGBA.
    """
    coverage = picture[..., 3:].astype(np.float32) / 255
    silhouette = np.pad((coverage[..., 0] > 0.5).astype(np.uint8), 1)
    distance = cv2.distanceTransform(silhouette, cv2.DIST_L2, 5)[1:-1, 1:-1]
    height = np.sqrt(distance / max(float(distance.max()), 1.0))  # round at the rim, flat in the middle, as most things are
    pixels = np.concatenate([picture[..., :3].astype(np.float32) * coverage, coverage, height[..., None]], axis=2)
    return Sprite(pixels.astype(np.float32))
