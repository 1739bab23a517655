# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks in one image of ids, for formats in which a pixel belongs to one object only, and 8-bit PNG files with a palette."""

from __future__ import annotations

import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.trace import LabeledFrame, LabeledObject
from lang2segtrack_ros.io.picture import PNG_START

OVERLAPS = "pixels under several masks, given to the object with the highest score"
COVERED = "masks that other masks cover entirely"
EMPTY = "objects with a box but without a mask"


def id_image(frame: LabeledFrame, left_out: Counter[str]) -> tuple[NDArray[np.uint32], list[LabeledObject]]:
    """Paint the masks of a frame into one image. The object with the highest score wins a pixel, and of equal scores the highest id.

    `instance_masks` of the node follows the same rule.

    Args:
        frame: the frame.
        left_out: the counters to increase.

    Returns:
        uint32 [H, W] with the track id of each pixel, 0 for none, and the objects that still have a pixel, in the order of their ids.
    """
    image = np.zeros((frame.height, frame.width), np.uint32)
    contested = np.zeros((frame.height, frame.width), bool)
    for item in sorted(frame.objects, key=lambda item: (item.score, item.id)):
        if not item.area:
            left_out[EMPTY] += 1
            continue
        place = window(item)
        mask = item.mask[place]
        contested[place] |= mask & (image[place] > 0)
        image[place][mask] = item.id
    shown = [item for item in frame.objects if item.area]
    if contested.any():
        left_out[OVERLAPS] += int(np.count_nonzero(contested))
        still = [item for item in shown if (image[window(item)] == item.id).any()]
        left_out[COVERED] += len(shown) - len(still)
        return image, still
    return image, shown


def window(item: LabeledObject) -> tuple[slice, slice]:
    """Return the rows and columns around an object. Its mask has no pixel outside, and the rest of the image need not be read."""
    x1, y1, x2, y2 = item.box
    return slice(math.floor(y1), math.ceil(y2)), slice(math.floor(x1), math.ceil(x2))


def compact_ids(ids: Iterable[int], limit: int) -> dict[int, int]:
    """Return a number for each id, from 1 to the limit.

    The numbers are the ids themselves if all of them fit. Otherwise the objects are counted in the order of their ids, and those beyond
    the limit get no number.

    Args:
        ids: the ids.
        limit: the highest number of the format.
    """
    ordered = sorted(ids)
    if not ordered or ordered[-1] <= limit:
        return {track_id: track_id for track_id in ordered}
    return {track_id: number for number, track_id in enumerate(ordered[:limit], 1)}


def davis_palette() -> NDArray[np.uint8]:
    """Return the palette of PASCAL VOC and DAVIS: the bits of the index, spread over the three colors. uint8 [256, 3], RGB."""
    index = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colors.astype(np.uint8)


def indexed_png(values: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Return a PNG file of color type 3 (https://www.w3.org/TR/png-3/#11PLTE).

    OpenCV writes no palettes. Its gray PNG has the same image data, so the type is changed and the palette is added.

    Args:
        values: uint8 [H, W], an index of the palette for each pixel.
        palette: uint8 [256, 3], RGB.
    """
    data = cv2.imencode(".png", values)[1].tobytes()
    head_end = len(PNG_START) + 25  # length, type, 13 bytes and checksum of IHDR
    head = bytearray(data[len(PNG_START) + 8 : head_end - 4])
    head[9] = 3  # color type
    return PNG_START + _chunk(b"IHDR", bytes(head)) + _chunk(b"PLTE", palette.tobytes()) + data[head_end:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
