# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images whose format says how to read them, and 16-bit images that use fewer bits."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb, image_to_rgb

RED = np.full((16, 16, 3), (220, 30, 40), np.uint8)
BGR, GRAY = RED[:, :, ::-1], np.full((16, 16), 120, np.uint8)


def message(format_text: str, pixels: np.ndarray, suffix: str = ".png") -> SimpleNamespace:
    """Return a CompressedImage. As compressed_image_transport does, the pixels go to OpenCV in the order they have."""
    return SimpleNamespace(format=format_text, data=cv2.imencode(suffix, pixels)[1].tobytes())


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("pattern", "first"), [("rggb", (0, 0)), ("grbg", (0, 1)), ("gbrg", (1, 0)), ("bggr", (1, 1))])
def test_compressed_mosaic_is_demosaiced(pattern: str, first: tuple[int, int], depth: int) -> None:
    """Only red cells have a value. As a gray image, the picture would have a pattern of dots and no color."""
    cells = np.zeros((16, 16), np.uint8 if depth == 8 else np.uint16)
    cells[first[0] :: 2, first[1] :: 2] = 2**depth - 1
    formats = [f"bayer_{pattern}{depth}; png compressed ", f"bayer_{pattern}{depth}; png compressed bayer_{pattern}{depth}"]
    for text in formats:
        red, green, blue = compressed_to_rgb(message(text, cells))[4:-4, 4:-4].reshape(-1, 3).mean(axis=0)
        assert red > 100
        assert max(green, blue) < 20


def test_jpeg_of_a_camera_with_a_mosaic_stays_gray() -> None:
    """For JPEG, compressed_image_transport converts the mosaic to gray first, and says so."""
    shown = compressed_to_rgb(message("bayer_rggb8; jpeg compressed mono8", GRAY, ".jpg"))
    assert np.abs(shown.astype(int) - 120).max() <= 2


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        ("jpeg", BGR),
        ("", BGR),
        ("rgb8; jpeg compressed bgr8", BGR),
        ("bgr8; png compressed bgr8", BGR),
        ("8UC3; png compressed ", BGR),
        ("rgb8; jpeg compressed rgb8", RED),
        ("bgr8; png compressed rgb8", RED),
        ("rgb8; tiff compressed ", RED),
        ("rgb16; png compressed bgr16", BGR.astype(np.uint16) * 256),
        ("rgb16; png compressed rgb16", RED.astype(np.uint16) * 256),
    ],
)
def test_order_of_channels_follows_the_format(text: str, pixels: np.ndarray) -> None:
    """Without "compressed bgr", the publisher gave RGB to an encoder that takes BGR. Red objects would be blue."""
    assert np.array_equal(compressed_to_rgb(message(text, pixels)), RED)


def test_compressed_depth_is_no_color_image() -> None:
    """The distances would be converted to meaningless gray values."""
    with pytest.raises(ConversionError, match='format "32FC1; tiff compressed " has float32 values, not 8 or 16 bits'):
        compressed_to_rgb(message("32FC1; tiff compressed ", np.ones((8, 8), np.float32), ".tiff"))


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("compressed", [False, True])
def test_image_with_few_of_16_bits_is_named_and_scaled_by_option(bits: int, compressed: bool) -> None:
    """Cameras store 10 or 12 bits in mono16 without a shift. The image is then nearly black, and nothing is found."""
    values = (GRAY.astype(np.uint16) << (bits - 8)) + 1
    values[0, 0] = 2**bits - 1
    data = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
    raw = SimpleNamespace(height=16, width=16, encoding="mono16", is_bigendian=0, step=32, data=data)
    convert, msg = (compressed_to_rgb, message("mono16; png compressed ", values)) if compressed else (image_to_rgb, raw)
    warnings: dict[str, str] = {}
    assert convert(msg, 16, warnings.setdefault).max() < 16
    assert warnings["few_bits"] == (
        f"the image is nearly black: no 16-bit value is above {2**bits - 1}; if the camera uses fewer bits, set image_bits to {bits}"
    )
    warnings.clear()
    scaled = convert(msg, bits, warnings.setdefault)
    assert scaled[5, 5].tolist() == [120, 120, 120]
    assert scaled[0, 0, 0] == 255
    assert not warnings
    assert convert(msg, 8).min() == 255, "a number that is too small saturates and does not wrap around"
