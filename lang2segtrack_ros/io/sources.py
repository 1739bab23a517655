# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images from video files, folders and cameras: streamed forwards, and, where they are stored, read again backwards.

Nothing here holds more than a few images, however long the source is.
"""

from __future__ import annotations

import logging
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.frame import Frame

log = logging.getLogger(__name__)
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
CHUNK_BYTES = 64 << 20
"""Images that are decoded ahead when a video is read backwards."""
DEFAULT_FPS = 30.0


class SourceError(ValueError):
    """A source that cannot be read; the message says why."""


def natural_order(path: Path) -> list[int | str]:
    """Sorts files by name, numbers in names counting as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


class ImageSource(ABC):
    """A numbered sequence of images.

    Attributes:
        name: for messages.
        fps: images a second, for stamps and videos.
        length: number of images as far as it is known beforehand.
        stored: whether `read` works.
    """

    name: str
    fps: float = DEFAULT_FPS
    length: int | None = None
    stored: bool = True

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """All images in order, from the first. Raises SourceError for one that is broken."""

    @abstractmethod
    def read(self, number: int) -> Frame:
        """The image of a number that `frames` has given; quick for falling numbers."""

    def stamp_ns(self, number: int) -> int:
        """The time of an image, from its number."""
        return round(number * 1e9 / self.fps)


class FolderSource(ImageSource):
    """Image files of a folder, by name, numbers in names counting as numbers.

    Raises:
        SourceError: no image is in it.
    """

    def __init__(self, path: Path, fps: float = DEFAULT_FPS) -> None:
        self.name = str(path)
        self.fps = fps
        files = [item for item in path.iterdir() if item.suffix.lower() in IMAGE_ENDINGS and item.is_file() and item.name[0] != "."]
        self.files = sorted(files, key=natural_order)
        self.length = len(self.files)
        if not self.files:
            raise SourceError(f"there is no image in {path}; known endings: {', '.join(IMAGE_ENDINGS)}")

    def frames(self) -> Iterator[Frame]:
        """All images in order."""
        return (self.read(number) for number in range(len(self.files)))

    def read(self, number: int) -> Frame:
        """One image. Raises SourceError."""
        image = cv2.imread(str(self.files[number]), cv2.IMREAD_COLOR)
        if image is None:
            raise SourceError(f"{self.files[number]} is no image that can be read")
        return Frame(_rgb(image), self.stamp_ns(number))


class VideoSource(ImageSource):
    """A video file.

    To read backwards, a stretch of images is decoded from its beginning. Seeking is not exact with every codec, so each image is compared
    with the checksum that was taken on the way forward; where a seek went astray, the stretch is decoded from the file's beginning.

    Raises:
        SourceError: it is no video.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        capture = self._open()
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else DEFAULT_FPS
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 else None
        capture.release()
        self.astray = 0
        self._sums: list[int] = []
        self._chunk: dict[int, NDArray[np.uint8]] = {}

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise SourceError(f"{self.path} cannot be opened as a video")
        return capture

    def frames(self) -> Iterator[Frame]:
        """All images in order."""
        capture = self._open()
        try:
            number = 0
            while True:
                read, image = capture.read()
                if not read:
                    break
                if number == len(self._sums):
                    self._sums.append(_checksum(image))
                yield Frame(_rgb(image), self.stamp_ns(number))
                number += 1
        finally:
            capture.release()
        if number == 0:
            raise SourceError(f"{self.path} holds no image that can be decoded")
        if self.length is not None and number < self.length - 2:
            log.warning(
                "%s ends after %d images although it says that it has %d: it is damaged, or not whole", self.path, number, self.length
            )

    def read(self, number: int) -> Frame:
        """One image. Raises SourceError."""
        if number not in self._chunk:
            size = next(iter(self._chunk.values())).nbytes if self._chunk else 0
            self._chunk = {}  # let go before the next one is made
            count = max(1, CHUNK_BYTES // size) if size else 8
            begin = max(0, number + 1 - count)
            chunk = self._decode(begin, number, seek=True) or self._decode(begin, number, seek=False)
            if not chunk:
                raise SourceError(f"image {number} of {self.path} cannot be decoded a second time")
            self._chunk = chunk
        return Frame(_rgb(self._chunk[number]), self.stamp_ns(number))

    def _decode(self, begin: int, end: int, seek: bool) -> dict[int, NDArray[np.uint8]]:
        """The images begin .. end; nothing when they are not those of the way forward."""
        capture = self._open()
        try:
            if seek:
                capture.set(cv2.CAP_PROP_POS_FRAMES, begin)
            else:
                self.astray += 1
                for _ in range(begin):
                    capture.grab()
            images = {}
            for number in range(begin, end + 1):
                read, image = capture.read()
                if not read or _checksum(image) != self._sums[number]:
                    return {}
                images[number] = np.asarray(image, np.uint8)
            return images
        finally:
            capture.release()


class CameraSource(ImageSource):
    """A camera that the system numbers; it ends when the camera does, or when the user interrupts.

    Raises:
        SourceError: there is no such camera.
    """

    stored = False

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise SourceError(f"camera {number} cannot be opened: is it there, and may you use it?")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else DEFAULT_FPS
        self.limit: int | None = None
        self._stopped = False

    def stop(self) -> None:
        """Ends `frames` after the present image."""
        self._stopped = True

    def frames(self) -> Iterator[Frame]:
        """Images as they come."""
        number = 0
        while not self._stopped and (self.limit is None or number < self.limit):
            read, image = self._capture.read()
            if not read:
                return
            yield Frame(_rgb(image), self.stamp_ns(number))
            number += 1

    def read(self, number: int) -> Frame:
        """What a camera has shown is gone."""
        raise SourceError(f"{self.name} cannot show image {number} again")


def open_source(what: str, fps: float | None = None) -> ImageSource:
    """The source of a name: a video file, a folder, or the number of a camera. Raises SourceError."""
    path = Path(what)
    if path.is_dir():
        return FolderSource(path, fps or DEFAULT_FPS)
    if path.is_file():
        return VideoSource(path)
    if what.isdigit():
        return CameraSource(int(what))
    raise SourceError(f'there is no file, folder or camera "{what}"')


def _rgb(image: Any) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _checksum(image: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(image, np.uint8).data)
