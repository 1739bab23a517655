# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One decoder for pictures in files and in messages. It refuses pictures whose data ends too early.

OpenCV decodes the first part of such a picture and fills the rest with gray, depending on its version. Such a picture would spoil masks.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
_ORIENTATION_TAG = 0x0112
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""EXIF orientation -> flip code of OpenCV; from 5 on, rows and columns are exchanged before."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Suffixes of the files that a folder of pictures may hold. OpenCV reads these formats in every build."""
_OTHER_SUFFIXES = (".gif", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".exr", ".hdr", ".pfm", ".raw", ".dng", ".svg", ".psd")


class PictureError(ValueError):
    """Picture data that cannot be decoded; the message gives the reason without the name of the file."""


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """Decode a picture, and rotate it as its EXIF data says.

    Args:
        data: a whole file: JPEG, PNG, or another format that OpenCV decodes.

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        PictureError: the data is empty, ends too early, or is no picture.
    """
    return cv2.cvtColor(decode_pixels(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode_pixels(data: bytes, flags: int) -> NDArray[Any]:
    """Decode a picture as OpenCV does, equally with all its versions.

    Args:
        data: a whole file.
        flags: the flags of cv2.imdecode, such as cv2.IMREAD_COLOR. Unless they forbid it, the picture is rotated as its EXIF data says.

    Returns:
        [H, W] or [H, W, channels], colors in BGR order.

    Raises:
        PictureError: the data is empty, ends too early, or is no picture.
    """
    if not data:
        raise PictureError("the file is empty")
    if is_cut(data):
        raise PictureError("the data ends before the end of the picture")
    turn = 1
    if data[8:12] == b"WEBP" and flags >= 0 and not flags & cv2.IMREAD_IGNORE_ORIENTATION:  # OpenCV rotates it only in late versions
        flags, turn = flags | cv2.IMREAD_IGNORE_ORIENTATION, _webp_orientation(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # for example more pixels than OpenCV decodes
        raise PictureError(f"OpenCV cannot decode it: {error.err}") from error
    if image is None:
        raise PictureError("it is not a readable image")
    image = cv2.transpose(image) if 5 <= turn <= 8 else image
    return cv2.flip(image, _FLIPS[turn]) if turn in _FLIPS else image


def image_files(folder: Path) -> tuple[list[Path], str]:
    """Return the picture files of a folder by name, and a sentence on pictures of other formats, which is empty if there are none.

    Folders, and the hidden files that macOS adds for each file, are no pictures.
    """
    files = sorted(item for item in folder.iterdir() if item.is_file() and not item.name.startswith("."))
    other = [item for item in files if item.suffix.lower() in _OTHER_SUFFIXES]
    shown = ", ".join(item.name for item in other[:3]) + (", ..." if len(other) > 3 else "")
    sentence = f"{folder}: {len(other)} pictures are left out ({shown}): convert them to one of {', '.join(SUFFIXES)}" if other else ""
    return [item for item in files if item.suffix.lower() in SUFFIXES], sentence


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture file. Return RGB uint8 [H, W, 3]. Raises PictureError, also if the file cannot be opened."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"the file cannot be read: {error.strerror or error}") from error
    return decode_picture(data)


def is_cut(data: bytes) -> bool:
    """Return True for a JPEG or a PNG without its end marker.

    The search in a JPEG begins at its first scan, because a thumbnail in the header has an end marker of its own. In the data of a scan,
    the marker cannot occur by chance.
    """
    if data.startswith(_JPEG_START):
        scan = _first_scan(data)
        return scan < 0 or data.find(_JPEG_END, scan) < 0
    return data.startswith(PNG_START) and data.rfind(_PNG_END) < 0


def _first_scan(data: bytes) -> int:
    """Return the position of the first scan of a JPEG, -1 without one."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position : position + 2] == _JPEG_SCAN:
            return position
        if data[position + 1] == 0xFF:  # a fill byte
            position += 1
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return -1


def _webp_orientation(data: bytes) -> int:
    """Return the EXIF orientation of a WebP file, 1 to 8; 1 without one."""
    position = 12
    while position + 8 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"EXIF":
            return _exif_orientation(data[position + 8 : position + 8 + size].removeprefix(b"Exif\0\0"))
        position += 8 + size + size % 2
    return 1


def _exif_orientation(exif: bytes) -> int:
    order = "<" if exif.startswith(b"II") else ">"
    try:
        (begin,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, begin)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, begin + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return int(value)
    except struct.error:  # damaged EXIF data does not spoil the picture
        pass
    return 1
