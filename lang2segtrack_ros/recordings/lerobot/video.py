# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The videos of a LeRobot dataset, written with PyAV."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CODEC = "libsvtav1"
"""LeRobot's own codec. Its decoders read AV1 at any frame."""
_OPTIONS = {"g": "2", "crf": "30", "preset": "10"}  # a key frame every second frame, so that single frames decode fast


class VideoWriter:
    """A writer of one MP4 file with a constant rate.

    Args:
        path: the file.
        fps: frames per second.

    Attributes:
        frames: number of written frames.
        size: height and width of the frames in pixels. None before the first one.
    """

    def __init__(self, path: Path, fps: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("SVT_LOG", "1")  # the encoder prints its settings otherwise
        self.frames = 0
        self.size: tuple[int, int] | None = None
        self._fps = fps
        self._container: Any = av.open(str(path), "w")
        self._stream: Any = None

    def add(self, color: NDArray[np.uint8]) -> None:
        """Write a frame. The last row or column of an odd size is left out, because the codec needs even sizes.

        Args:
            color: RGB uint8 [H, W, 3], of the same size for all frames.

        Raises:
            ValueError: the image has another size than the first one.
        """
        height, width = color.shape[0] // 2 * 2, color.shape[1] // 2 * 2
        if self._stream is None:
            self._stream = self._container.add_stream(CODEC, rate=self._fps, options=_OPTIONS)
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self.size = height, width
        if (height, width) != self.size:
            raise ValueError(f"an image of {width} x {height} pixels follows images of {self.size[1]} x {self.size[0]}")  # type: ignore[index]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(color[:height, :width]), format="rgb24")
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def info(self) -> dict[str, object]:
        """Return the description of the video for info.json."""
        assert self.size is not None
        return {
            "video.height": self.size[0],
            "video.width": self.size[1],
            "video.codec": "av1",
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": self._fps,
            "video.channels": 3,
            "has_audio": False,
        }

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream is not None and error is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
