# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The newest picture as JPEG, made when somebody asks for it and once for all who do.

A viewer asks for the next picture when it has shown the last one. So a slow one gets fewer, none of them late, and nothing queues up.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

WATCHED_S = 10.0
"""Somebody who asked this recently may ask again."""


@dataclass
class _Picture:
    color: NDArray[np.uint8]
    source: str
    number: int
    jpeg: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Shown:
    """A picture as it is sent: JPEG, where it is from ("overlay", "camera"), and its number, unlike that of the one before."""

    jpeg: bytes
    source: str
    number: int


class Pictures:
    """A slot for one picture.

    Args:
        quality: of the JPEG, 1 to 100.
        max_rate: pictures a second; more are left out.
    """

    def __init__(self, quality: int, max_rate: float) -> None:
        self._quality = quality
        self._period = 1.0 / max_rate
        self._condition = threading.Condition()
        self._newest: _Picture | None = None
        self._next = 0.0
        self._asked = -WATCHED_S
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether pictures are wanted at all."""
        return time.monotonic() - self._asked < WATCHED_S

    @property
    def size(self) -> tuple[int, int] | None:
        """(width, height) of the newest picture in pixels."""
        newest = self._newest
        return (newest.color.shape[1], newest.color.shape[0]) if newest is not None else None

    def due(self) -> bool:
        """Whether the next picture would be taken, and so is worth converting."""
        return self.watched and time.monotonic() >= self._next

    def put(self, color: NDArray[np.uint8], source: str) -> None:
        """Takes an RGB uint8 [H, W, 3] picture, which must not change afterwards."""
        with self._condition:
            now = time.monotonic()
            self._next = max(self._next + self._period, now)  # an even rate, also when pictures come a little early or late
            number = self._newest.number + 1 if self._newest is not None else 1
            self._newest = _Picture(color, source, number)
            self._condition.notify_all()

    def another(self, number: int, timeout: float) -> Shown | None:
        """The newest picture unless its number is the one given; then, and before the first, waits up to `timeout` seconds for it."""
        with self._condition:
            self._asked = time.monotonic()
            self._condition.wait_for(lambda: self._closed or (self._newest is not None and self._newest.number != number), timeout)
            picture = self._newest
        if picture is None or picture.number == number:
            return None
        with picture.lock:
            if not picture.jpeg:
                done, data = cv2.imencode(".jpg", cv2.cvtColor(picture.color, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self._quality])
                picture.jpeg = data.tobytes() if done else b""
        return Shown(picture.jpeg, picture.source, picture.number)

    def close(self) -> None:
        """Lets everybody go who waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
