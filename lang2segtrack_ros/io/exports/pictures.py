# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The images of a trace, for formats that name them or hold them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceError
from lang2segtrack_ros.io.picture import PictureError, decode_pixels

JPEG_QUALITY = 95
JPEG, PNG = ".jpg", ".png"


@dataclass(frozen=True, eq=False)
class Picture:
    """One image of a recording.

    Attributes:
        key: number of the image, or its stamp in nanoseconds; see `Pictures`.
        color: RGB uint8 [H, W, 3].
        file: its file, if it has one of its own.
    """

    key: int
    color: NDArray[np.uint8]
    file: Path | None = None


class Pictures:
    """A reader of the images that belong to a trace, in step with its frames.

    Args:
        source: name of the recording, for messages.
        pictures: its images in order; None if the images are not at hand, so that files are named only.
        by_stamp: True if the keys of the images are stamps, False if they are numbers.
        placed: True to put the images into the export, False to name them only.

    Attributes:
        placed: True if images are put into the export.
    """

    def __init__(self, source: str = "", pictures: Iterator[Picture] | None = None, by_stamp: bool = False, placed: bool = False) -> None:
        self._source = source
        self._pictures = pictures
        self._by_stamp = by_stamp
        self.placed = placed and pictures is not None
        self._current: Picture | None = None

    def seek(self, frame: LabeledFrame) -> None:
        """Go to the image of a frame. Call this method for each frame, before its writers.

        Raises:
            TraceError: the recording has no image for the frame, or one of another size.
        """
        if self._pictures is None:
            return
        wanted = frame.stamp_ns if self._by_stamp else frame.number
        picture = next((item for item in self._pictures if item.key == wanted), None)
        if picture is None:
            raise TraceError(f"{self._source} has no image {frame.number} of the trace: give the recording that was tracked")
        if picture.color.shape[:2] != (frame.height, frame.width):
            height, width = picture.color.shape[:2]
            raise TraceError(
                f"image {frame.number} of {self._source} has {width} x {height} pixels, but the trace has {frame.width} x {frame.height}: "
                "give the recording that was tracked"
            )
        self._current = picture

    @property
    def color(self) -> NDArray[np.uint8]:
        """The current image, RGB uint8 [H, W, 3]. Raises TraceError before the first `seek`, or if the images are not at hand."""
        if self._current is None:
            raise TraceError("the images of the trace are not at hand: give the recording that was tracked")
        return self._current.color

    def name(self, default: str) -> str:
        """Return the name of the current image's own file, else the default."""
        return self._current.file.name if self._current is not None and self._current.file is not None else default

    def put(self, folder: Path, stem: str, suffixes: tuple[str, ...] = (JPEG, PNG)) -> str:
        """Put the current image into the export, if images are to be placed.

        A file of a suitable type gets a hard link, or a copy where the file system has no hard links. Other images are encoded: as JPEG
        of quality 95 where the format allows it, else as PNG.

        Args:
            folder: the folder; created if it does not exist.
            stem: name of the file without its suffix.
            suffixes: file types that the format allows.

        Returns:
            The name of the file with its suffix, also if it is not placed.

        Raises:
            OSError: the file cannot be written.
        """
        file = self._current.file if self._current is not None else None
        suffix = file.suffix.lower().replace(".jpeg", JPEG) if file is not None else ""
        if suffix not in suffixes or (file is not None and not _is_upright(file)):
            file, suffix = None, suffixes[0]
        if not self.placed or self._current is None:
            return stem + suffix
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{stem}{suffix}"
        if file is not None:
            link(file, target)
        else:
            options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if suffix == JPEG else []
            target.write_bytes(cv2.imencode(suffix, cv2.cvtColor(self._current.color, cv2.COLOR_RGB2BGR), options)[1].tobytes())
        return target.name


def link(source: Path, target: Path) -> None:
    """Make a hard link, or a copy where the file system has no hard links. Raises OSError."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _is_upright(file: Path) -> bool:
    """Return False for a file that is rotated by its EXIF data, because tools differ in following it."""
    try:
        data = file.read_bytes()
        if b"Exif" not in data:
            return True
        plain = decode_pixels(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        return bool(np.array_equal(plain, decode_pixels(data, cv2.IMREAD_COLOR)))
    except (OSError, PictureError):
        return False
