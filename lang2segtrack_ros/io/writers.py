# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writers of video and image files."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray


class VideoWriter:
    """A writer of RGB images of one size to an MP4 file.

    Args:
        path: the file; missing parent folders are created.
        fps: images per second.

    Attributes:
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

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append an RGB uint8 [H, W, 3] image. The first image sets the size of the video; later images are resized to it."""
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._size = (image.shape[1], image.shape[0])
            self._writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._size)
            if not self._writer.isOpened():
                raise OSError(f"{self.path} cannot be written as an MP4 video")
        image = image if (image.shape[1], image.shape[0]) == self._size else cv2.resize(image, self._size).astype(np.uint8)
        self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB uint8 [H, W, 3] image as PNG. Raises OSError if the file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path} cannot be written")
