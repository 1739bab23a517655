# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Images from video files, folders and cameras: streamed forward, and read again in reverse order if they are stored.

A source holds only a few images in memory, whatever its length.
"""

from __future__ import annotations

import logging
import math
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.picture import SUFFIXES, PictureError, image_files, read_picture
from lang2segtrack_ros.types.frame import Frame

log = logging.getLogger(__name__)
_MAX_FAILED_READS = 100  # consecutive failed reads after which a video has ended
CHUNK_BYTES = 64 << 20
"""Size of the images that one read in reverse order decodes together."""
DEFAULT_FPS = 30.0


class SourceError(ValueError):
    """Error for a source that cannot be read; the message gives the reason."""


def natural_order(path: Path) -> list[int | str]:
    """Return the sort key of a file name in which digits count as numbers, so that image10 follows image9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


@dataclass
class SourceIndex:
    """The images of a source that have been read so far.

    Attributes:
        images: an entry for each image that `frames` has yielded, of a type that the source chooses.
        skipped: sentences on the images that are left out, by position in the source.
    """

    images: list[Any] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)


class ImageSource(ABC):
    """A numbered sequence of images.

    Attributes:
        name: for messages.
        fps: images per second, for stamps and videos.
        length: number of images; None if it is unknown beforehand.
        stored: True if `read` works.
        limit: maximum number of images of a run; None for no limit. `frames` of a camera ends there, other sources have more.
        index: all that `frames` has learned of the images. `read` of another source of the same file works with this index.
    """

    name: str
    fps: float = DEFAULT_FPS
    length: int | None = None
    stored: bool = True
    limit: int | None = None
    index: SourceIndex

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """Yield all images in order, from the first. Raises SourceError for an image that cannot be read."""

    @abstractmethod
    def read(self, number: int) -> Frame:
        """Return an image that `frames` has yielded, by its number. Calls with falling numbers are fast. Raises SourceError."""

    @property
    def expected(self) -> int | None:
        """Return the number of images of a run; None if it is unknown beforehand."""
        return self.length if self.limit is None or (self.length is not None and self.length < self.limit) else self.limit

    @property
    def skipped(self) -> list[str]:
        """Return sentences on the images that `frames` left out."""
        return list(self.index.skipped.values())

    def stamp_ns(self, number: int) -> int:
        """Return the time of an image in nanoseconds, computed from its number."""
        return round(number * 1e9 / self.fps)


class FolderSource(ImageSource):
    """Image files of a folder, ordered by name; digits in names count as numbers.

    Files that cannot be read, or whose data ends too early, are left out.

    Args:
        path: the folder.
        fps: images per second.

    Raises:
        SourceError: the folder holds no image.
    """

    def __init__(self, path: Path, fps: float = DEFAULT_FPS) -> None:
        self.name = str(path)
        self.fps = fps
        files, other = image_files(path)
        self.files = sorted(files, key=natural_order)
        self.index = SourceIndex(skipped={-1: other} if other else {})  # an image's entry is its position in `files`
        self.length = len(self.files)
        if not self.files:
            raise SourceError(other or f"there is no image in {path}; supported file types: {', '.join(SUFFIXES)}")

    def frames(self) -> Iterator[Frame]:
        """Yield all readable images in order. Raises SourceError if there is none."""
        number, index = 0, self.index
        for position, file in enumerate(self.files):
            try:
                image = read_picture(file)
            except PictureError as error:
                if position not in index.skipped:
                    index.skipped[position] = f"{file} is left out: {error}"
                    log.warning(index.skipped[position])
                continue
            if number == len(index.images):
                index.images.append(position)
            number += 1
            yield Frame(image, self.stamp_ns(position))
        if not number:
            raise SourceError(f"no file of {self.name} can be read as an image; the last one: {self.skipped[-1]}")

    def read(self, number: int) -> Frame:
        """Return the image that `frames` yielded as this number. Raises SourceError."""
        position = self.index.images[number]
        try:
            return Frame(read_picture(self.files[position]), self.stamp_ns(position))
        except PictureError as error:
            raise SourceError(f"{self.files[position]} cannot be read again: {error}") from error


class VideoSource(ImageSource):
    """A video file. Times are those of the container, because the frame rate may vary. Images that cannot be decoded are left out.

    To read in reverse order, the source decodes a chunk of images from the start of the chunk. With some codecs, a seek ends at a wrong
    image. The source therefore compares each image with its checksum from the forward pass. If they differ, it decodes the chunk from the
    start of the file.

    Args:
        path: the video file.

    Attributes:
        failed_seeks: number of chunks that were decoded from the start of the file.

    Raises:
        SourceError: the file is not a video.
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
        self.failed_seeks = 0
        self.index = SourceIndex()  # an image's entry is its checksum and its time
        self._chunk: dict[int, NDArray[np.uint8]] = {}

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise SourceError(f"{self.path} cannot be opened as a video")
        return capture

    def stamp_ns(self, number: int) -> int:
        """Return the time of an image that `frames` has yielded, in nanoseconds from the container."""
        time: int = self.index.images[number][1]
        return time

    def frames(self) -> Iterator[Frame]:
        """Yield all images in order that can be decoded. Raises SourceError if there is none."""
        capture = self._open()
        number = failed = 0
        try:
            while (failures := _failed_reads(capture)) < _MAX_FAILED_READS:
                failed += failures
                _, image = capture.retrieve()
                if number == len(self.index.images):
                    self.index.images.append((_checksum(image), self._time(capture)))
                yield Frame(_rgb(image), self.stamp_ns(number))
                number += 1
        finally:
            capture.release()
        if number == 0:
            raise SourceError(f"{self.path} contains no image that can be decoded")
        total = number + failed if self.length is None else self.length
        if number < total:
            lost = total - number
            self.index.skipped[number] = f"{lost} of the {total} images of {self.path} cannot be decoded: the file is damaged"

    def _time(self, capture: cv2.VideoCapture) -> int:
        """Return the time of the latest image in nanoseconds. Without a later time in the container, the image rate counts."""
        time = capture.get(cv2.CAP_PROP_POS_MSEC)
        if not self.index.images:
            return round(time * 1e6) if 0 <= time < math.inf else 0
        before = self.stamp_ns(-1)
        return round(time * 1e6) if before < time * 1e6 < math.inf else before + round(1e9 / self.fps)

    def read(self, number: int) -> Frame:
        """Return one image. Raises SourceError."""
        if number not in self._chunk:
            size = next(iter(self._chunk.values())).nbytes if self._chunk else 0
            self._chunk = {}  # free the memory before the next chunk is decoded
            count = max(1, CHUNK_BYTES // size) if size else 8
            begin = max(0, number + 1 - count)
            chunk = self._decode(begin, number, seek=True) or self._decode(begin, number, seek=False)
            if not chunk:
                raise SourceError(f"image {number} of {self.path} cannot be decoded again: did the file change?")
            self._chunk = chunk
        return Frame(_rgb(self._chunk[number]), self.stamp_ns(number))

    def _decode(self, begin: int, end: int, seek: bool) -> dict[int, NDArray[np.uint8]]:
        """Return the images begin .. end by number, or an empty dict if they differ from those of the forward pass."""
        capture = self._open()
        try:
            if seek:
                capture.set(cv2.CAP_PROP_POS_FRAMES, begin)
            else:
                self.failed_seeks += 1
                for _ in range(begin):
                    _failed_reads(capture)
            images = {}
            for number in range(begin, end + 1):
                if _failed_reads(capture) == _MAX_FAILED_READS:
                    return {}
                _, image = capture.retrieve()
                if _checksum(image) != self.index.images[number][0]:
                    return {}
                images[number] = np.asarray(image, np.uint8)
            return images
        finally:
            capture.release()


def _failed_reads(capture: cv2.VideoCapture) -> int:
    """Grab the next image that can be decoded. Return the number of failed reads before it, `_MAX_FAILED_READS` at the end of the video.

    A damaged part fails one read after the other, and the images after it can be decoded again.
    """
    return next((failures for failures in range(_MAX_FAILED_READS) if capture.grab()), _MAX_FAILED_READS)


class CameraSource(ImageSource):
    """A camera of this computer. The sequence ends when the camera stops, after `limit` images, or after `stop`.

    Args:
        number: index of the camera in the operating system.

    Raises:
        SourceError: the camera cannot be opened.
    """

    stored = False

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self.index = SourceIndex()
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise SourceError(f"camera {number} cannot be opened: check that it is connected and that you have permission to use it")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else DEFAULT_FPS
        self._stopped = False

    def stop(self) -> None:
        """End `frames` after the current image."""
        self._stopped = True

    def frames(self) -> Iterator[Frame]:
        """Yield images as the camera delivers them."""
        number = 0
        while not self._stopped and (self.limit is None or number < self.limit):
            read, image = self._capture.read()
            if not read:
                return
            yield Frame(_rgb(image), self.stamp_ns(number))
            number += 1

    def read(self, number: int) -> Frame:
        """Raise SourceError, because a camera does not store its images."""
        raise SourceError(f"{self.name} does not store images: image {number} cannot be read again")


def open_source(name: str, fps: float | None = None) -> ImageSource:
    """Open a source.

    Args:
        name: a video file, a folder, or the number of a camera.
        fps: images per second of a folder; None for 30.

    Raises:
        SourceError: there is no such source, it cannot be read, or `fps` is given for a source with a rate of its own.
    """
    path = Path(name)
    if path.is_dir():
        return FolderSource(path, fps or DEFAULT_FPS)
    if fps is not None and (path.is_file() or name.isdecimal()):
        raise SourceError(f"{name} has an image rate of its own: --fps is for folders of images only")
    if path.is_file():
        return VideoSource(path)
    if name.isascii() and name.isdecimal():
        return CameraSource(int(name))
    raise SourceError(f'there is no file, folder or camera "{name}"')


def _rgb(image: Any) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _checksum(image: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(image, np.uint8).data)
