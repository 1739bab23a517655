# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""DAVIS: one indexed PNG for each image, whose pixels are the numbers of the objects; see `io.exports.davis`."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.trace import DEFAULT_FPS, LabeledFrame
from lang2segtrack_ros.io.imports.labels import LabeledVideo, LabelError, check_id, check_label, object_of_mask
from lang2segtrack_ros.io.picture import PNG_START, PictureError, decode_pixels
from lang2segtrack_ros.io.sources import natural_order

VOID = 255
"""Value of pixels that an evaluation ignores."""


def read_davis(path: Path, video: str) -> LabeledVideo:
    """Read the labels of a sequence.

    Args:
        path: folder of PNG files, or the root of a data set, with Annotations/<resolution>/<sequence>.
        video: name of the sequence; empty if there is only one.

    Raises:
        LabelError: there is no such folder, or a picture is not indexed.
    """
    if not path.is_dir():
        raise LabelError(f"{path} is not a folder: name the root of the data set, or the folder of a sequence with its PNG files")
    folder = _sequence(path, video)
    files = sorted(folder.glob("*.png"), key=natural_order)
    if not files:
        raise LabelError(f"{folder} has no PNG file: DAVIS has one for each image")
    return LabeledVideo(folder.name, _frames(files, _objects(path / "labels.txt")))


def _sequence(path: Path, video: str) -> Path:
    root = path / "Annotations"
    if not root.is_dir():
        return path / video if video else path
    folders = sorted({file.parent for file in root.rglob("*.png")})
    found = [folder for folder in folders if not video or folder.name == video]
    if len(found) != 1:
        names = ", ".join(str(folder.relative_to(root)) for folder in folders[:10]) or "none"
        raise LabelError(f"{root} has the sequences {names}: choose one with --video, or name its folder")
    return found[0]


def _objects(file: Path) -> dict[int, tuple[int, str]]:
    """Return id and label by number, from the file that `lang2segtrack export` writes; empty without it."""
    objects: dict[int, tuple[int, str]] = {}
    if not file.is_file():
        return objects
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        parts = line.split(maxsplit=2)
        try:
            objects[int(parts[0])] = check_id(int(parts[1]), f"line {number} of {file}"), check_label(" ".join(parts[2:]), str(file))
        except (IndexError, ValueError) as error:
            if isinstance(error, LabelError):
                raise
            raise LabelError(f'line {number} of {file} is "{line[:60]}": write number, track id and label') from error
    return objects


def _frames(files: list[Path], objects: dict[int, tuple[int, str]]) -> Iterator[LabeledFrame]:
    for index, file in enumerate(files):
        values = read_indices(file)
        found = []
        for number in np.unique(values).tolist():
            if number in (0, VOID):
                continue
            track_id, label = objects.get(number, (number, f"object {number}"))
            made = object_of_mask(track_id, label, values == number)
            found += [] if made is None else [made]
        height, width = values.shape
        yield LabeledFrame(index, index, round(index * 1e9 / DEFAULT_FPS), height, width, tuple(sorted(found, key=lambda item: item.id)))


def read_indices(file: Path) -> NDArray[np.uint8]:
    """Return the indices of a PNG file with a palette, or the values of a gray one, as uint8 [H, W].

    OpenCV would return the colors of the palette. The file is therefore read as a gray one, without its palette.

    Raises:
        LabelError: the file cannot be read, or has colors instead of indices.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise LabelError(f"{file} cannot be read: {error.strerror or error}") from error
    if not data.startswith(PNG_START) or len(data) < 33:
        raise LabelError(f"{file} is not a PNG file, or it is cut: export the labels again")
    depth, kind = data[24], data[25]
    if kind not in (0, 3) or depth > 8:
        raise LabelError(f"{file} has colors instead of indices: each pixel must hold the number of its object, in a PNG with a palette")
    head = data[16:25] + b"\0" + data[26:29]
    plain = PNG_START + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + _without_palette(data[33:])
    try:
        gray = decode_pixels(plain, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    except PictureError as error:
        raise LabelError(f"{file}: {error}: export the labels again") from error
    return np.asarray(gray // (255 // (2**depth - 1)), np.uint8)  # OpenCV spreads fewer bits over 0..255


def _without_palette(data: bytes) -> bytes:
    """Return the chunks of a PNG file after its head, without palette and transparency."""
    kept, position = b"", 0
    while position + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        chunk = data[position : position + 12 + length]
        kept += b"" if chunk[4:8] in (b"PLTE", b"tRNS") else chunk
        position += 12 + length
    return kept
