# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The images of a tracked recording by their position in the trace, from its video, folder or bag."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lang2segtrack_ros.history.records import Record
from lang2segtrack_ros.io.sources import CameraSource, SourceError, open_source
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.bags.images import BagImages
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.exporting import is_bag
from lang2segtrack_ros.recordings.runs import Report
from lang2segtrack_ros.types.frame import Frame

_BLOCK = 4  # images that a forward read decodes together; the readers decode as many before an image, if they are not large


class _Reader(Protocol):
    """Images by number; see `io.sources.ImageSource` and `recordings.bags.images.BagImages`."""

    index: Any

    @property
    def expected(self) -> int | None: ...

    def frames(self) -> Iterator[Frame]: ...

    def read(self, number: int) -> Frame: ...


def _open(path: Path) -> _Reader:
    if is_bag(path):
        return BagImages(BagInput(path), "", MessageCodec())
    source = open_source(str(path))
    if isinstance(source, CameraSource):
        raise SourceError(f"{path} is a camera, which stores no images: give the video or the folder of the recording")
    return source


class RecordingImages:
    """The images of a recording. The constructor reads the whole recording once, to find its images.

    Args:
        path: a video, a folder of images, or a bag. The images of a bag are found by their stamps, other images by their numbers.
        report: progress callback.

    Raises:
        SourceError: the recording cannot be read.
        BagError: the bag cannot be read.
    """

    def __init__(self, path: Path, report: Report) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._reader = _open(path)
        stamps = []
        for frame in self._reader.frames():
            stamps.append(frame.stamp_ns)
            report("reading", len(stamps), self._reader.expected)
        self._count = len(stamps)
        self._by_stamp = {stamp: number for number, stamp in enumerate(stamps)} if is_bag(path) else None

    def another(self) -> RecordingImages:
        """Return a second reader of the same images, for another thread that reads at other places."""
        other = object.__new__(RecordingImages)
        other.path, other._count, other._by_stamp = self.path, self._count, self._by_stamp
        other._lock = threading.Lock()
        other._reader = _open(self.path)
        other._reader.index = self._reader.index
        return other

    def number(self, record: Record) -> int:
        """Return the number of a record's image in the recording. Raises SourceError if the recording does not have it."""
        number: int | None = record["frame"] if self._by_stamp is None else self._by_stamp.get(record["stamp_ns"])
        if number is None or not 0 <= number < self._count:
            raise SourceError(f"{self.path} has no image {record['frame']} of the trace: give the recording that was tracked")
        return number

    def read(self, record: Record) -> Frame:
        """Return the image of a record.

        Raises:
            SourceError: the recording does not have it, or it has another size than the trace.
            BagError: the bag has changed.
        """
        with self._lock:
            return self._checked(self._reader.read(self.number(record)), record)

    def read_in_order(self, images: Sequence[int], record_of: Callable[[int], Record]) -> Iterator[Frame]:
        """Yield several images, in rising or falling order. Raises as `read`.

        The readers are fast in falling order, because they decode the images before the requested one, too. In rising order, the last
        image of a block is therefore read first.

        Args:
            images: positions of the images in the trace.
            record_of: returns the record of an image.
        """
        is_rising = len(images) > 1 and images[0] < images[-1]
        for begin in range(0, len(images), _BLOCK):
            block = images[begin : begin + _BLOCK]
            if is_rising:
                self.read(record_of(block[-1]))
            for image in block:
                yield self.read(record_of(image))

    def _checked(self, frame: Frame, record: Record) -> Frame:
        if (frame.height, frame.width) != (record["height"], record["width"]):
            raise SourceError(
                f"an image of {self.path} has {frame.width} x {frame.height} pixels, the trace {record['width']} x {record['height']}: "
                "give the recording that was tracked"
            )
        return frame


def image_of(images: RecordingImages | None, record: Record) -> Frame:
    """Return the image of a record, or a black one if the recording is not at hand. Raises as `RecordingImages.read`."""
    if images is None:
        return Frame(np.zeros((record["height"], record["width"], 3), np.uint8), record["stamp_ns"])
    return images.read(record)


IMAGE_ERRORS = (SourceError, BagError)
"""Errors of a recording that cannot be read."""
