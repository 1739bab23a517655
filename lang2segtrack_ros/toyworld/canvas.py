# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The picture that a scene paints, with its depth and its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Canvas:
    """A picture while it is painted, from the farthest body to the nearest one.

    Attributes:
        color: float32 [H, W, 3], RGB, 0..255.
        depth: float32 [H, W], meters.
        instances: uint16 [H, W], 1 + index of the body at each pixel; 0 for the wall and for occluders.
        edges: uint8 [H, W], 1 at the rims of the bodies, where a depth camera sees nothing.
    """

    color: NDArray[np.float32]
    depth: NDArray[np.float32]
    instances: NDArray[np.uint16]
    edges: NDArray[np.uint8]

    def window(self, corners: NDArray[np.float64], margin: int = 2) -> tuple[slice, slice] | None:
        """Return rows and columns of the pixels around an outline; None if they are outside the picture.

        Args:
            corners: the outline in pixels, [K, 2].
            margin: number of further pixels on each side.
        """
        height, width = self.instances.shape
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + margin + 1, (width, height))
        return None if (high <= low).any() else np.s_[int(low[1]) : int(high[1]), int(low[0]) : int(high[0])]
