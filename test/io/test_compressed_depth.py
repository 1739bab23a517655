# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Depth of compressed_depth_image_transport: PNG and RVL, 16UC1 and 32FC1, intact and damaged."""

from __future__ import annotations

import struct
from contextlib import suppress
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lang2segtrack_ros.io.compressed_depth import compressed_depth_to_meters
from lang2segtrack_ros.io.image_messages import ConversionError

MAX_M, QUANTIZATION = 10.0, 100.0
SCALE = QUANTIZATION * (QUANTIZATION + 1)
OFFSET = 1 - SCALE / MAX_M


def rvl(values: np.ndarray) -> bytes:
    """Encode a uint16 image as Wilson describes it."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            nibble, number = number & 7, number >> 3
            nibbles.append(nibble | 8 if number else nibble)
            if not number:
                return

    flat, position, previous = values.reshape(-1).tolist(), 0, 0
    while position < len(flat):
        start = position
        while position < len(flat) and not flat[position]:
            position += 1
        put(position - start)
        start = position
        while position < len(flat) and flat[position]:
            position += 1
        put(position - start)
        for value in flat[start:position]:
            difference = value - previous
            put((difference << 1) ^ (difference >> 31))
            previous = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{nibble:x}" for nibble in nibbles[start : start + 8]), 16) for start in range(0, len(nibbles), 8)]
    height, width = values.shape
    return struct.pack(f"<II{len(words)}I", width, height, *words)


def message(text: str, values: np.ndarray) -> SimpleNamespace:
    """Return a CompressedImage of uint16 values."""
    payload = rvl(values) if text.endswith("rvl") else cv2.imencode(".png", values)[1].tobytes()
    return SimpleNamespace(format=text, data=struct.pack("<iff", 0, SCALE, OFFSET) + payload)


def depth_mm() -> np.ndarray:
    """Return a slope with noise, holes and a step, in millimeters."""
    rng = np.random.default_rng(0)
    values = (1000 + 5 * np.arange(64)[None] + rng.integers(-20, 20, (48, 64))).astype(np.uint16)
    values[10:20, 5:30] = 0
    values[30:, 40:] = 9000
    values[rng.random(values.shape) < 0.05] = 0
    values[0, 0], values[-1, -1] = 65535, 1
    return values


@pytest.mark.parametrize("text", ["16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1", "mono16; compressedDepth rvl"])
def test_millimeters_are_read_exactly(text: str) -> None:
    """RealSense publishes the second form, old versions the third."""
    values = depth_mm()
    meters = compressed_depth_to_meters(message(text, values))
    assert meters.dtype == np.float32
    assert np.array_equal(np.isnan(meters), values == 0)
    assert np.array_equal(np.nan_to_num(meters), values.astype(np.float32) * np.float32(0.001))


def test_png_without_a_header_is_read() -> None:
    """The transport "compressed" also accepts depth. It sends the plain PNG."""
    data = cv2.imencode(".png", depth_mm())[1].tobytes()
    meters = compressed_depth_to_meters(SimpleNamespace(format="16UC1; png compressed ", data=data))
    assert meters[5, 40] == pytest.approx(depth_mm()[5, 40] / 1000)


@pytest.mark.parametrize("text", ["32FC1; compressedDepth png", "32FC1; compressedDepth rvl"])
def test_quantized_meters_are_read(text: str) -> None:
    """The publisher quantizes 1 / depth, so near depth is exact to less than a millimeter."""
    meters = np.linspace(0.3, 12.0, 48 * 64).reshape(48, 64).astype(np.float32)
    meters[3, :20] = np.nan
    values = np.where(meters < MAX_M, SCALE / meters + OFFSET, 0).astype(np.uint16)
    read = compressed_depth_to_meters(message(text, values))
    known = meters < MAX_M
    assert np.isnan(read[~known]).all()
    assert np.abs(read[known] - meters[known]).max() < 0.011
    near = meters < 1
    assert np.abs(read[near] - meters[near]).max() < 0.0002


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.sampled_from([0, 0, 1, 7, 8, 1000, 1001, 65535]), min_size=1, max_size=60), rows=st.integers(1, 3))
def test_every_rvl_image_comes_back(values: list[int], rows: int) -> None:
    """Runs may begin and end with zeros or other values, and differences may have either sign."""
    image = np.array([values] * rows, np.uint16)
    meters = compressed_depth_to_meters(message("16UC1; compressedDepth rvl", image))
    assert np.array_equal(np.nan_to_num(meters), image.astype(np.float32) * np.float32(0.001))


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=80),
    text=st.sampled_from(["16UC1; compressedDepth rvl", "32FC1; compressedDepth rvl", "32FC1; compressedDepth png"]),
)
def test_random_data_is_read_or_refused(data: bytes, text: str) -> None:
    """The declared size is small, so that some of the data is valid."""
    sized = data[:12].ljust(12, b"\0") + struct.pack("<II", 4, 4) + data[12:]
    for content in (data, sized):
        with suppress(ConversionError):
            assert compressed_depth_to_meters(SimpleNamespace(format=text, data=content)).ndim == 2


GRAY_PNG = cv2.imencode(".png", np.zeros((4, 4), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("text", "data", "words"),
    [
        ("rgb8; jpeg compressed bgr8", b"x", 'format "rgb8; jpeg compressed bgr8" is not known; its encoding must be one of 16UC1'),
        ("16UC1; compressedDepth png", bytes(12) + b"no picture", "10 bytes of format"),
        ("16UC1; compressedDepth png", bytes(12) + GRAY_PNG, "holds a uint8 image"),
        ("16UC1; compressedDepth rvl", bytes(15), "has no size"),
        ("16UC1; compressedDepth rvl", bytes(12) + struct.pack("<II", 99999, 99999), "RVL depth is 99999 x 99999"),
        ("16UC1; compressedDepth rvl", bytes(12) + rvl(depth_mm())[:-40], "the data is damaged"),
        ("16UC1; compressedDepth rvl", bytes(12) + struct.pack("<II", 4, 4) + b"\xff" * 8 + bytes(4), "a number of 17 nibbles"),
        ("32FC1; png compressed ", cv2.imencode(".png", depth_mm())[1].tobytes(), "lacks the header"),
    ],
)
def test_damaged_depth_is_refused_with_reason(text: str, data: bytes, words: str) -> None:
    """Wrong distances would move objects in space without a word."""
    with pytest.raises(ConversionError) as caught:
        compressed_depth_to_meters(SimpleNamespace(format=text, data=data))
    assert words in str(caught.value)
