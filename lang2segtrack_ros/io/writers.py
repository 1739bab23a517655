# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writers of video and image files."""

from __future__ import annotations

import logging
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
_MAX_WAITING = 8  # images that wait for the encoder


class VideoWriter:
    """A writer of RGB images of one size to a WebM file in VP8, which browsers, notebooks and video players show.

    An own thread encodes the images, because VP8 takes more time than drawing them. If this build of OpenCV has no encoder for VP8, the
    file is in MPEG-4 part 2 and its name ends in .mp4; no browser shows it.

    Args:
        path: the file; missing parent folders are created.
        fps: images per second.

    Attributes:
        path: the file.
        frames: number of images written so far.

    Raises:
        OSError: `write` cannot open the file.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.frames = 0
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._encoder = ThreadPoolExecutor(1, "video-encoder")
        self._waiting: deque[Future[None]] = deque()

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append an RGB uint8 [H, W, 3] image. The first image sets the size of the video; later images are resized to it."""
        if self._writer is None:
            self._size = (image.shape[1], image.shape[0])
            self._writer = self._open()
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._encoder.submit(self._encode, self._writer, image))
        self.frames += 1

    def _open(self) -> cv2.VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, codec in ((".webm", "VP80"), (".mp4", "mp4v")):
            self.path = self.path.with_suffix(suffix)
            with _without_tag_warning():
                writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*codec), self._fps, self._size)
            if writer.isOpened():
                return writer
            self.path.unlink(missing_ok=True)
            log.warning("%s cannot be written in %s", self.path, codec)
        raise OSError(f"{self.path.with_suffix('')} cannot be written as a video: OpenCV {cv2.__version__} has no encoder for it")

    def _encode(self, writer: cv2.VideoWriter, image: NDArray[np.uint8]) -> None:
        image = image if (image.shape[1], image.shape[0]) == self._size else cv2.resize(image, self._size).astype(np.uint8)
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Encode the waiting images and finish the file."""
        self._encoder.shutdown()
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def _without_tag_warning() -> Iterator[None]:
    """Leave out the line in which OpenCV says that WebM has no tag for VP8. The line means nothing, because WebM uses no tags."""
    stderr = os.dup(2)
    try:
        with tempfile.TemporaryFile() as held:
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
            held.seek(0)
            for line in held:
                if b"is not supported with codec id" not in line:
                    os.write(2, line)
    finally:
        os.close(stderr)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB uint8 [H, W, 3] image as PNG. Raises OSError if the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path} cannot be written")
