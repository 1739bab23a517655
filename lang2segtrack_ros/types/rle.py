# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Bounding boxes of masks, and the run-length encoding of COCO."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]


def mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """Return the box (x_min, y_min, x_max, y_max) in pixels around a bool [H, W] mask, with exclusive maxima. None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (float(x), float(y), float(x + width), float(y + height)) if width else None


@dataclass(frozen=True)
class Rle:
    """A mask in the compressed run-length encoding of COCO.

    Attributes:
        height, width: size of the mask in pixels.
        counts: the runs in column-major order, in the string format of pycocotools.
    """

    height: int
    width: int
    counts: str

    @staticmethod
    def encode(mask: NDArray[np.bool_], box: Box | None = None) -> Rle:
        """Encode a bool [H, W] mask.

        This function finds the runs inside the box, and pycocotools only compresses them. It is twice as fast as the encoder of
        pycocotools, which reads every pixel of the image.

        Args:
            mask: bool [H, W].
            box: box around the mask, if the caller knows it; see `mask_box`.
        """
        height, width = mask.shape
        x, y, end_x, end_y = map(int, box or mask_box(np.ascontiguousarray(mask)) or (0, 0, 0, 0))  # no pixel is set outside the box
        columns, rows = end_x - x, end_y - y
        stride = rows + (rows < height)  # an empty pixel ends each run at the box; in a box of full height, a run may continue
        pixels = np.zeros(columns * stride + 2, np.uint8)  # one empty pixel at each end closes the first and the last run
        if columns:
            inside = cv2.transpose(np.ascontiguousarray(mask[y:end_y, x:end_x]).view(np.uint8))
            pixels[1:-1].reshape(columns, stride)[:, :rows] = inside
        column, row = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), stride)
        changes = (x + column) * height + y + row
        runs = np.diff(changes, prepend=0, append=height * width).tolist()
        if len(runs) > 1 and not runs[-1]:  # the mask ends at the last pixel
            runs.pop()
        encoded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return Rle(int(height), int(width), encoded["counts"].decode("ascii"))

    def decode(self) -> NDArray[np.bool_]:
        """Return the mask as a bool array [H, W].

        Raises:
            ValueError: the runs do not cover the image. pycocotools would return uninitialized memory for missing runs.
        """
        covered = sum(decode_counts(self.counts))
        if covered != self.height * self.width:
            raise ValueError(f"the runs of a mask cover {covered} of {self.height} x {self.width} pixels")
        pixels: NDArray[np.uint8] = coco_mask.decode({"size": [self.height, self.width], "counts": self.counts.encode("ascii")})
        return pixels.astype(bool)


def decode_counts(text: str) -> list[int]:
    """Return the runs of pycocotools' string: background and mask by turns, in pixels.

    A run is a signed number in groups of 5 bits, from the third run on relative to the run two before (pycocotools, maskApi.c).

    Args:
        text: counts of an `Rle`.

    Raises:
        ValueError: the text is not such a string.
    """
    runs: list[int] = []
    number = shift = 0
    for letter in text:
        code = ord(letter) - 48
        if not 0 <= code < 64:
            raise ValueError(f'"{letter}" is not a letter of run-length counts')
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    if shift:
        raise ValueError("the run-length counts end within a number")
    return runs
