# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth images of compressed_depth_image_transport: PNG or RVL (Wilson, "Fast lossless depth image compression", 2017) behind a header."""

from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.image_messages import (
    DEPTH_ENCODINGS,
    MAX_PIXELS,
    ConversionError,
    decode_data,
    millimeters_to_meters,
    valid_meters,
)
from lang2segtrack_ros.io.picture import PNG_START

_HEADER = struct.Struct("<iff")  # kind of compression, then the two parameters of the quantization of 32FC1
_MAX_NIBBLES = 11
"""Length of a number of 32 bits."""


def compressed_depth_to_meters(msg: Any) -> NDArray[np.float32]:
    """Convert a sensor_msgs/CompressedImage with depth to float32 [H, W] in meters, NaN where unknown.

    Args:
        msg: the message. Its format is, for example, "16UC1; compressedDepth png" or "32FC1; compressedDepth rvl".

    Raises:
        ConversionError: the image cannot be used.
    """
    encoding, _, compressed = (part.strip() for part in msg.format.partition(";"))
    if encoding not in DEPTH_ENCODINGS:
        raise ConversionError(
            "unknown_depth_encoding",
            f'compressed depth of format "{msg.format}" is not known; its encoding must be one of {", ".join(DEPTH_ENCODINGS)}',
        )
    data = bytes(msg.data)
    header = b"" if data.startswith(PNG_START) else data[: _HEADER.size]  # the transport "compressed" sends a PNG without a header
    payload = data[len(header) :]
    values = _decode_rvl(payload) if compressed.endswith("rvl") else _decode_png(msg, payload)
    if encoding != "32FC1":
        return millimeters_to_meters(values)
    if len(header) < _HEADER.size:
        raise ConversionError("undecodable", f'depth of format "{msg.format}" lacks the header with the parameters of its quantization')
    _, scale, offset = _HEADER.unpack(header)
    with np.errstate(all="ignore"):  # the result of damaged parameters counts as unknown
        meters = np.float32(scale) / (values.astype(np.float32) - np.float32(offset))
    meters[values == 0] = np.nan
    return valid_meters(meters)


def _decode_png(msg: Any, payload: bytes) -> NDArray[np.uint16]:
    values = decode_data(msg, payload, cv2.IMREAD_UNCHANGED)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise ConversionError("undecodable", f'depth of format "{msg.format}" holds a {values.dtype} image, not 16 bits in one channel')
    return values


def _decode_rvl(payload: bytes) -> NDArray[np.uint16]:
    """Return the uint16 [H, W] image of RVL data: width and height, then numbers.

    The numbers are runs: a count of zeros, a count of other values, and the difference of each to the value before it, in zigzag code.
    Raises ConversionError.
    """
    if len(payload) < 8:
        raise ConversionError("undecodable", f"RVL depth of {len(payload)} bytes has no size")
    width, height = struct.unpack_from("<II", payload)
    if not 0 < width * height <= MAX_PIXELS:
        raise ConversionError("undecodable", f"RVL depth is {width} x {height}; 1 to {MAX_PIXELS} pixels are allowed")
    numbers = _rvl_numbers(payload[8:])
    runs = _rvl_runs(numbers, width * height)
    skipped, is_value = runs.copy(), np.tile([False, True], len(runs))
    skipped[:, 0] = 2  # the two counts before the differences of a run
    chosen = np.repeat(is_value, skipped.reshape(-1))
    zigzag = numbers[: len(chosen)][chosen]
    image = np.zeros(width * height, np.uint16)
    image[np.repeat(is_value, runs.reshape(-1))] = np.cumsum((zigzag >> 1) ^ -(zigzag & 1)).astype(np.uint16)
    return image.reshape(height, width)


def _rvl_numbers(data: bytes) -> NDArray[np.int64]:
    """Return the numbers: 3 bits a nibble, the lowest first; the highest bit of a nibble says that the number goes on."""
    words = np.frombuffer(data, "<u4", len(data) // 4).astype(">u4").view(np.uint8)
    nibbles = np.stack((words >> 4, words & 15), axis=1).reshape(-1)
    ends = np.flatnonzero(nibbles < 8)
    lengths = np.diff(ends, prepend=-1)
    if lengths.max(initial=0) > _MAX_NIBBLES:
        raise ConversionError("undecodable", f"RVL depth has a number of {lengths.max()} nibbles: the data is damaged")
    starts = ends - lengths + 1
    numbers = nibbles[starts].astype(np.int64) & 7
    longer, place = np.flatnonzero(lengths > 1), 1
    while len(longer):
        numbers[longer] |= (nibbles[starts[longer] + place].astype(np.int64) & 7) << (3 * place)
        place += 1
        longer = longer[lengths[longer] > place]
    return numbers


def _rvl_runs(numbers: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Return the counts of zeros and of other values of each run, int64 [runs, 2]. Raises ConversionError if they miss the image's size."""
    counts = numbers.tolist()
    runs, position, done = [], 0, 0
    while done < pixels and position + 1 < len(counts):
        runs.append((counts[position], counts[position + 1]))
        done += counts[position] + counts[position + 1]
        position += 2 + counts[position + 1]
    if done != pixels or position > len(counts):
        raise ConversionError("undecodable", f"RVL depth has data for {done} pixels, its size says {pixels}: the data is damaged")
    return np.array(runs, np.int64)
