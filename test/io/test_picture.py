# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that end too early are refused, whatever OpenCV makes of them."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.image_messages import ConversionError, compressed_to_rgb
from lang2segtrack_ros.io.picture import PictureError, decode_picture, is_cut, read_picture

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)


def encoded(suffix: str, *options: int) -> bytes:
    """Return the pixels as a file."""
    return cv2.imencode(suffix, PIXELS, options)[1].tobytes()


PROGRESSIVE = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
FORMATS = {"jpeg": (".jpg",), "progressive jpeg": (".jpg", *PROGRESSIVE), "png": (".png",)}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
def test_picture_cut_anywhere_is_refused(name: str, share: float) -> None:
    data = encoded(*FORMATS[name])  # type: ignore[arg-type]
    assert decode_picture(data).shape == PIXELS.shape
    with pytest.raises(PictureError, match="ends before the end of the picture"):
        decode_picture(data[: int(len(data) * share)])


def test_cut_message_is_refused() -> None:
    data = encoded(".jpg")
    with pytest.raises(ConversionError, match="ends before the end of the picture"):
        compressed_to_rgb(SimpleNamespace(data=data[:300], format="jpeg"))


def test_end_marker_of_a_thumbnail_does_not_count() -> None:
    """Cameras store a small JPEG in the header."""
    data, thumbnail = encoded(".jpg"), encoded(".jpg")[:2000] + b"\xff\xd9"
    header = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    with_thumbnail = data[:2] + header + data[2:]
    assert not is_cut(with_thumbnail)
    assert is_cut(with_thumbnail[:-100])


def test_data_after_the_end_is_allowed() -> None:
    """Phones append a video or a depth map."""
    assert decode_picture(encoded(".jpg") + b"more").shape == PIXELS.shape


@pytest.mark.parametrize(("data", "message"), [(b"", "the file is empty"), (b"no picture", "not a readable image")])
def test_other_data_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(PictureError, match=message):
        read_picture(tmp_path / "a.png")
    with pytest.raises(PictureError, match="cannot be read"):
        read_picture(tmp_path / "missing.png")


def webp_with_orientation(pixels: np.ndarray, orientation: int, order: str) -> bytes:
    """Return a lossless WebP file with EXIF data, as a phone writes it."""
    plain = cv2.imencode(".webp", pixels[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    size = b"".join((value - 1).to_bytes(3, "little") for value in pixels.shape[1::-1])
    chunks = [b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + size, plain[12:], b"EXIF" + struct.pack("<I", len(exif)) + exif]
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, PIXELS),
        (2, PIXELS[:, ::-1]),
        (3, PIXELS[::-1, ::-1]),
        (4, PIXELS[::-1]),
        (5, PIXELS.transpose(1, 0, 2)),
        (6, np.rot90(PIXELS, -1)),
        (7, PIXELS[::-1, ::-1].transpose(1, 0, 2)),
        (8, np.rot90(PIXELS)),
        (99, PIXELS),
    ],
)
def test_webp_is_rotated_as_its_exif_data_says(orientation: int, turned: np.ndarray, order: str) -> None:
    """OpenCV 4.6 of Ubuntu ignores the orientation in WebP, later versions follow it. Boxes and masks must not depend on that."""
    assert np.array_equal(decode_picture(webp_with_orientation(PIXELS, orientation, order)), turned)


def test_webp_with_damaged_exif_data_is_read() -> None:
    """The picture itself is intact."""
    data = webp_with_orientation(PIXELS, 6, "<")
    assert np.array_equal(decode_picture(data[:-20] + b"\xff" * 20), PIXELS)
