# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The newest image as JPEG. The first request encodes the image, and later requests get the same bytes.

A viewer requests the next image after it has shown the last one. So a slow viewer gets fewer images, each of them current, and no queue
grows.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

WATCHED_S = 10.0
"""Time after a request during which the next request is expected."""


@dataclass
class _Picture:
    color: NDArray[np.uint8]
    source: str
    number: int
    jpeg: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class EncodedPicture:
    """An encoded image.

    Attributes:
        jpeg: the JPEG file.
        source: "overlay" or "camera".
        number: number of the image; each image has another one.
    """

    jpeg: bytes
    source: str
    number: int


class Pictures:
    """A slot for the newest image.

    Args:
        quality: JPEG quality, 1 to 100.
        max_rate: maximum number of images per second; the slot drops further images.
    """

    def __init__(self, quality: int, max_rate: float) -> None:
        self._quality = quality
        self._period = 1.0 / max_rate
        self._condition = threading.Condition()
        self._newest: _Picture | None = None
        self._due_at = 0.0
        self._requested_at = -WATCHED_S
        self._closed = False

    @property
    def watched(self) -> bool:
        """True if a viewer requested an image within `WATCHED_S`."""
        return time.monotonic() - self._requested_at < WATCHED_S

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the newest image in pixels, or None before the first image."""
        newest = self._newest
        return (newest.color.shape[1], newest.color.shape[0]) if newest is not None else None

    def due(self) -> bool:
        """Return whether a viewer needs the next image, so that the caller should convert it."""
        return self.watched and time.monotonic() >= self._due_at

    def put(self, color: NDArray[np.uint8], source: str) -> None:
        """Store the newest image.

        Args:
            color: RGB uint8 [H, W, 3]. The caller must not change it afterwards.
            source: "overlay" or "camera".
        """
        with self._condition:
            now = time.monotonic()
            self._due_at = max(self._due_at + self._period, now)  # keeps an even rate if images arrive a little early or late
            number = self._newest.number + 1 if self._newest is not None else 1
            self._newest = _Picture(color, source, number)
            self._condition.notify_all()

    def wait_for_next(self, number: int, timeout: float) -> EncodedPicture | None:
        """Return the newest image. Wait if it is the one that the viewer already has, or if there is none yet.

        Args:
            number: number of the viewer's image; 0 before its first image.
            timeout: maximum time to wait in seconds.

        Returns:
            The image, or None after the timeout and after `close`.
        """
        with self._condition:
            self._requested_at = time.monotonic()
            self._condition.wait_for(lambda: self._closed or (self._newest is not None and self._newest.number != number), timeout)
            picture = self._newest
        if picture is None or picture.number == number:
            return None
        with picture.lock:
            if not picture.jpeg:
                encoded, data = cv2.imencode(
                    ".jpg", cv2.cvtColor(picture.color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self._quality]
                )
                picture.jpeg = data.tobytes() if encoded else b""
        return EncodedPicture(picture.jpeg, picture.source, picture.number)

    def close(self) -> None:
        """Wake all waiting viewers."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
