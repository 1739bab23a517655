# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures that end too early are refused, whatever OpenCV makes of them."""

from __future__ import annotations

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
