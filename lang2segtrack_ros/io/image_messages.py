# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of image messages to arrays with NumPy and OpenCV. The message classes may be those of rclpy or of rosbags.

The conversion uses cv_bridge only for encodings that this module does not support, and only if cv_bridge is installed: its compiled part
breaks with NumPy 2 on some distributions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.picture import PictureError, decode_pixels
from lang2segtrack_ros.types.results import Track

MAX_PIXELS = 64_000_000
MAX_INSTANCE_ID = 65535
Pixels = NDArray[Any]
Warn = Callable[[str, str], object]
"""Called with a short key and a sentence for the user."""


class ConversionError(ValueError):
    """Error for an image message that cannot be used.

    Args:
        reason: a short key, for counters.
        sentence: the message for the user.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _color(code: int) -> Callable[[Pixels], Pixels]:
    return lambda pixels: cv2.cvtColor(pixels, code)


# encoding -> (channels, NumPy type, conversion to RGB uint8)
_TO_RGB: dict[str, tuple[int, str, Callable[[Pixels], Pixels]]] = {
    "rgb8": (3, "u1", lambda pixels: pixels),
    "bgr8": (3, "u1", _color(cv2.COLOR_BGR2RGB)),
    "8UC3": (3, "u1", _color(cv2.COLOR_BGR2RGB)),
    "rgba8": (4, "u1", _color(cv2.COLOR_RGBA2RGB)),
    "bgra8": (4, "u1", _color(cv2.COLOR_BGRA2RGB)),
    "8UC4": (4, "u1", _color(cv2.COLOR_BGRA2RGB)),
    "mono8": (1, "u1", _color(cv2.COLOR_GRAY2RGB)),
    "8UC1": (1, "u1", _color(cv2.COLOR_GRAY2RGB)),
    "yuv422": (2, "u1", _color(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": (2, "u1", _color(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": (2, "u1", _color(cv2.COLOR_YUV2RGB_YUY2)),
    "yuyv": (2, "u1", _color(cv2.COLOR_YUV2RGB_YUY2)),
    # OpenCV names a Bayer pattern by its second row, ROS by its first row.
    "bayer_rggb8": (1, "u1", _color(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": (1, "u1", _color(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": (1, "u1", _color(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": (1, "u1", _color(cv2.COLOR_BayerGB2RGB)),
}
for _name, (_channels, _, _convert) in list(_TO_RGB.items()):  # 16-bit values are reduced to 8 bits first
    if _name.endswith("8") or _name in ("8UC3", "8UC4"):
        _TO_RGB[_name.replace("8", "16")] = (_channels, "u2", _convert)
COLOR_ENCODINGS = tuple(_TO_RGB)
_RGB_OR_BGR = re.compile(r"(rgb|bgr)a?(8|16)")
_MIN_16_BIT = 4096
"""Images whose values all lie below this do not use the upper 4 of their 16 bits."""
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")


def _pixels(msg: Any, channels: int, kind: str) -> Pixels:
    """Return the message's data as [H, W, channels], or [H, W] for one channel; a view if rows are not padded. Raises ConversionError."""
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    if height == 0 or width == 0:
        raise ConversionError("no_pixels", f"the image is {width} x {height}: it has no pixels")
    if height * width > MAX_PIXELS:
        raise ConversionError("too_large", f"the image is {width} x {height}; at most {MAX_PIXELS} pixels are allowed")
    dtype = np.dtype(kind).newbyteorder(">" if msg.is_bigendian else "<")
    row_bytes = width * channels * dtype.itemsize
    if step < row_bytes:
        raise ConversionError("wrong_step", f"step is {step} bytes, but a row of {width} {msg.encoding} pixels takes {row_bytes} bytes")
    data = np.frombuffer(msg.data, np.uint8)
    if data.size < step * (height - 1) + row_bytes:
        raise ConversionError("short_data", f"data has {data.size} bytes, but {height} rows of {step} bytes take {step * height} bytes")
    rows = np.lib.stride_tricks.as_strided(data, (height, row_bytes), (step, 1))
    values = np.ascontiguousarray(rows).view(dtype)
    return values.reshape((height, width, channels) if channels > 1 else (height, width))


def image_to_rgb(msg: Any, bits: int = 16, warn: Warn | None = None) -> NDArray[np.uint8]:
    """Convert a sensor_msgs/Image to RGB uint8 [H, W, 3].

    Args:
        msg: the message.
        bits: number of used bits of 16-bit values, 8 to 16.
        warn: called if the values use fewer bits.

    Raises:
        ConversionError: the image cannot be used.
    """
    conversion = _TO_RGB.get(msg.encoding)
    if conversion is None:
        return _by_cv_bridge(msg)
    channels, kind, convert = conversion
    pixels = _pixels(msg, channels, kind)
    try:
        return np.ascontiguousarray(convert(_to_8_bits(pixels, bits, warn)))
    except cv2.error as error:
        raise ConversionError(
            "unconvertible", f"a {msg.width} x {msg.height} {msg.encoding} image cannot be converted: {error.err}"
        ) from error


def _to_8_bits(pixels: Pixels, bits: int, warn: Warn | None) -> Pixels:
    """Return the upper 8 of the used bits. The scale is fixed, because one for each image would flicker."""
    if pixels.dtype.itemsize == 1:
        return pixels
    if warn is not None and bits == 16:
        highest = int(pixels.max())
        if highest < _MIN_16_BIT:
            warn(
                "few_bits",
                f"the image is nearly black: no 16-bit value is above {highest}; if the camera uses fewer bits, set image_bits to "
                f"{10 if highest < 1024 else 12}",
            )
    reduced: NDArray[np.uint8] = np.minimum(pixels >> (bits - 8), 255).astype(np.uint8)
    return reduced


def _by_cv_bridge(msg: Any) -> NDArray[np.uint8]:
    supported = ", ".join(COLOR_ENCODINGS)
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # not installed, or built for another NumPy
        raise ConversionError(
            "unknown_encoding",
            f'encoding "{msg.encoding}" is not known (supported: {supported}), and cv_bridge cannot be imported: {error}',
        ) from error
    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(msg, "rgb8"))
    except Exception as error:
        raise ConversionError(
            "unknown_encoding", f'encoding "{msg.encoding}" is not known (supported: {supported}), and cv_bridge cannot convert it: {error}'
        ) from error


def compressed_to_rgb(msg: Any, bits: int = 16, warn: Warn | None = None) -> NDArray[np.uint8]:
    """Convert a sensor_msgs/CompressedImage (JPEG, PNG, ...) to RGB uint8 [H, W, 3].

    The format says what the data is, as in the subscriber of compressed_image_transport: "bgr8; jpeg compressed bgr8".

    Args:
        msg: the message.
        bits: number of used bits of 16-bit values, 8 to 16.
        warn: called if the values use fewer bits.

    Raises:
        ConversionError: the image cannot be used.
    """
    pixels = decode_data(msg, bytes(msg.data), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ConversionError("unconvertible", f'an image of format "{msg.format}" has {pixels.dtype} values, not 8 or 16 bits')
    pixels = _to_8_bits(pixels, bits, warn)
    encoding, separator, compressed = msg.format.partition(";")
    if pixels.ndim == 2:
        is_mosaic = encoding.startswith("bayer_") and "compressed mono" not in compressed  # JPEG often carries a gray image instead
        _, _, convert = _TO_RGB.get(encoding if is_mosaic else "mono8", _TO_RGB["mono8"])
        return np.ascontiguousarray(convert(pixels))
    if separator and _RGB_OR_BGR.fullmatch(encoding) and "compressed bgr" not in compressed:
        return pixels  # the publisher gave RGB to an encoder that takes BGR
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode_data(msg: Any, data: bytes, flags: int) -> Pixels:
    """Return decoded data of a CompressedImage. Raises ConversionError."""
    try:
        return decode_pixels(data, flags)
    except PictureError as error:
        raise ConversionError("undecodable", f'{len(data)} bytes of format "{msg.format}" do not decode: {error}') from error


def depth_to_meters(msg: Any) -> NDArray[np.float32]:
    """Convert a depth image to float32 [H, W] in meters, NaN where unknown. Raises ConversionError.

    REP-118 defines 16UC1 as millimeters, with 0 for unknown.
    """
    if msg.encoding == "32FC1":
        return valid_meters(_pixels(msg, 1, "f4"))
    if msg.encoding in DEPTH_ENCODINGS:
        return millimeters_to_meters(_pixels(msg, 1, "u2"))
    raise ConversionError(
        "unknown_depth_encoding", f'depth encoding "{msg.encoding}" is not known; supported: {", ".join(DEPTH_ENCODINGS)}'
    )


def valid_meters(values: Pixels) -> NDArray[np.float32]:
    """Return depth in meters as float32, NaN where it is not finite and positive."""
    meters = values.astype(np.float32)
    meters[~np.isfinite(meters) | (meters <= 0)] = np.nan
    return meters


def millimeters_to_meters(raw: Pixels) -> NDArray[np.float32]:
    """Return depth in meters as float32, NaN where the millimeters are 0."""
    meters = raw.astype(np.float32) * np.float32(0.001)
    meters[raw == 0] = np.nan
    return meters


def paint_instances(image: NDArray[np.uint16], tracks: Iterable[Track]) -> None:
    """Paint the track id into each pixel of a mask; where masks overlap, the track with the highest score wins.

    Args:
        image: uint16 [H, W] of zeros, painted in place.
        tracks: tracks with masks of the same size. Ids above 65535 are painted as 65535.
    """
    for track in sorted(tracks, key=lambda track: track.score):
        if track.box is not None:
            x1, y1, x2, y2 = map(int, track.box)
            image[y1:y2, x1:x2][track.mask[y1:y2, x1:x2]] = min(track.id, MAX_INSTANCE_ID)
