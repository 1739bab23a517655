# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The newest image as JPEG. The first request encodes the image, and later requests get the same bytes.

A viewer requests the next image after it has shown an earlier one. So a slow viewer gets fewer images, each of them current, and no queue
grows.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass

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
    jpeg: asyncio.Future[bytes] | None = None


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
    """A slot for the newest image. Any thread may put images; the viewers wait on one event loop.

    Args:
        quality: JPEG quality, 1 to 100.
        max_rate: maximum number of images per second; the slot drops further images.
    """

    def __init__(self, quality: int, max_rate: float) -> None:
        self._quality = quality
        self._period = 1.0 / max_rate
        self._newest: _Picture | None = None
        self._due_at = 0.0
        self._requested_at = -WATCHED_S
        self._waiting = 0
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def watched(self) -> bool:
        """True if a viewer waits for an image or requested one within `WATCHED_S`."""
        return self._waiting > 0 or time.monotonic() - self._requested_at < WATCHED_S

    def due(self) -> bool:
        """Return whether a viewer needs the next image, so that the caller should convert it."""
        return self.watched and time.monotonic() >= self._due_at

    def put(self, color: NDArray[np.uint8], source: str) -> None:
        """Store the newest image.

        Args:
            color: RGB uint8 [H, W, 3]. The caller must not change it afterwards.
            source: "overlay" or "camera".
        """
        now = time.monotonic()
        self._due_at = max(self._due_at + self._period, now)  # keeps an even rate if images arrive a little early or late
        self._newest = _Picture(color, source, self._newest.number + 1 if self._newest is not None else 1)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._changed.set()
        self._changed.clear()

    async def next(self, number: int) -> EncodedPicture:
        """Return the newest image. Wait if it is the one that the viewer already has, or if there is none yet.

        Args:
            number: number of the viewer's image; 0 before its first image.
        """
        self._loop = asyncio.get_running_loop()
        self._waiting += 1
        try:
            while (picture := self._newest) is None or picture.number == number:
                await self._changed.wait()
        finally:
            self._waiting -= 1
            self._requested_at = time.monotonic()
        if picture.jpeg is None:
            picture.jpeg = self._loop.run_in_executor(None, self._encode, picture.color)
        return EncodedPicture(await asyncio.shield(picture.jpeg), picture.source, picture.number)

    def _encode(self, color: NDArray[np.uint8]) -> bytes:
        encoded, data = cv2.imencode(".jpg", cv2.cvtColor(color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return data.tobytes() if encoded else b""
