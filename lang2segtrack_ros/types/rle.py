# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks: the box around one, and run-length encoding as COCO has it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]


def mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """The box (x_min, y_min, x_max, y_max), maxima exclusive, around a bool [H, W] mask; None when it is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (float(x), float(y), float(x + width), float(y + height)) if width else None


@dataclass(frozen=True)
class Rle:
    """A mask in COCO's compressed run-length encoding.

    Attributes:
        height, width: size of the mask in pixels.
        counts: the runs, column by column, as pycocotools writes them.
    """

    height: int
    width: int
    counts: str

    @staticmethod
    def encode(mask: NDArray[np.bool_], box: Box | None = None) -> Rle:
        """Encodes a bool [H, W] mask; `box` is the box around it where that is known.

        The runs are found here and only written by pycocotools, whose encoder looks at every pixel of the image: twice as fast.
        """
        height, width = mask.shape
        x, y, end_x, end_y = map(int, box or mask_box(np.ascontiguousarray(mask)) or (0, 0, 0, 0))  # elsewhere there is nothing to look at
        columns, lines = end_x - x, end_y - y
        stride = lines + (lines < height)  # a pixel more, so that runs end with the box; where it is as high as the image, they go on
        pixels = np.zeros(columns * stride + 2, np.uint8)  # one more at each end, where the mask is over
        if columns:
            part = cv2.transpose(np.ascontiguousarray(mask[y:end_y, x:end_x]).view(np.uint8))
            pixels[1:-1].reshape(columns, stride)[:, :lines] = part
        column, line = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), stride)
        changes = (x + column) * height + y + line
        runs = np.diff(changes, prepend=0, append=height * width).tolist()
        if len(runs) > 1 and not runs[-1]:  # nothing comes after the last corner
            runs.pop()
        coded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return Rle(int(height), int(width), coded["counts"].decode("ascii"))

    def decode(self) -> NDArray[np.bool_]:
        """The bool [H, W] mask."""
        pixels: NDArray[np.uint8] = coco_mask.decode({"size": [self.height, self.width], "counts": self.counts.encode("ascii")})
        return pixels.astype(bool)
