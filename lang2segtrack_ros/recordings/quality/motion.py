# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Motion of a track over its latest images, fitted to its boxes."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample

FIT = 6
"""Number of images for a fit: long enough for the rounding of boxes, short enough for turns."""


@dataclass(frozen=True)
class Motion:
    """Straight motion around one image.

    Attributes:
        image: number of the image.
        x, y: center in pixels.
        vx, vy: velocity in pixels per image.
        size: side of a square with the area of the box, in pixels.
        aspect: logarithm of width over height.
        label: label of the track.
    """

    image: int
    x: float
    y: float
    vx: float
    vy: float
    size: float
    aspect: float
    label: str

    def at(self, image: int) -> tuple[float, float]:
        """Return the predicted center (x, y) on an image."""
        steps = image - self.image
        return self.x + self.vx * steps, self.y + self.vy * steps


class Trail:
    """The latest images of one track. Memory is constant.

    Attributes:
        images: number of images that show the track, including forgotten ones.
    """

    def __init__(self) -> None:
        self.images = 0
        self._motion: Motion | None = None
        self._items: deque[tuple[int, TrackSample]] = deque(maxlen=FIT)

    def add(self, image: int, sample: TrackSample) -> None:
        """Add the next image that shows the track."""
        self.images += 1
        self._motion = None
        self._items.append((image, sample))

    @property
    def last(self) -> tuple[int, TrackSample]:
        """The latest image, and the track on it."""
        return self._items[-1]

    def motion(self) -> Motion:
        """Return the motion at the latest image, from a straight line through the centers."""
        if self._motion is None:  # several rules ask for it
            self._motion = self._fit()
        return self._motion

    def _fit(self) -> Motion:
        count = len(self._items)
        middle = sum(number for number, _ in self._items) / count
        times = [number - middle for number, _ in self._items]
        spread = sum(time * time for time in times)
        centers = [sample.center for _, sample in self._items]
        last, sample = self.last
        lines = []
        for axis in (0, 1):
            mean = sum(center[axis] for center in centers) / count
            slope = sum(time * (center[axis] - mean) for time, center in zip(times, centers)) / spread if spread else 0.0
            lines.append((mean + slope * times[-1], slope))
        width = max(median(item.box[2] - item.box[0] for _, item in self._items), 1.0)
        height = max(median(item.box[3] - item.box[1] for _, item in self._items), 1.0)
        (x, vx), (y, vy) = lines
        return Motion(last, x, y, vx, vy, math.sqrt(width * height), math.log(width / height), sample.label)


class Trails(dict[int, Trail]):
    """The trails of all tracks by id."""

    def add(self, image: ImageSample) -> None:
        """Add the tracks of the next image."""
        for track_id, sample in image.tracks.items():
            self.setdefault(track_id, Trail()).add(image.number, sample)
