# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The whole of each track in numbers: images, passes, and its score over time in a fixed number of bins."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample
from lang2segtrack_ros.types.results import Source

BINS = 240
"""Maximum number of bins of a curve, about two pixels each on a page."""


@dataclass
class Bin:
    """Consecutive images of a curve.

    Attributes:
        first, last: numbers of the first and the last image in the recording.
        images: number of images that show the track.
        total, low: sum and minimum of the scores.
        area: sum of the areas in pixels.
        agreement: minimum of the agreement of both passes; NaN without any.
    """

    first: int
    last: int
    images: int = 0
    total: float = 0.0
    low: float = math.inf
    area: float = 0.0
    agreement: float = math.nan

    def add(self, number: int, sample: TrackSample) -> None:
        """Add an image."""
        self.last = number
        self.images += 1
        self.total += sample.score
        self.low = min(self.low, sample.score)
        self.area += sample.area
        self.agreement = _smaller(self.agreement, sample.agreement)

    def merge(self, other: Bin) -> Bin:
        """Return this bin and a later one as one."""
        low, agreement = min(self.low, other.low), _smaller(self.agreement, other.agreement)
        total, area = self.total + other.total, self.area + other.area
        return Bin(self.first, other.last, self.images + other.images, total, low, area, agreement)


def _smaller(one: float, other: float) -> float:
    return other if math.isnan(one) else one if math.isnan(other) else min(one, other)


@dataclass
class TrackCurve:
    """One track over the recording. Memory does not depend on its length.

    Attributes:
        id: its id.
        label: its latest label.
        first, last: positions of the first and the last image that show it, from 0.
        first_image, last_image: numbers of these images in the recording.
        seen: number of images that show it.
        filled: number of these images whose mask comes from the backward pass.
        width: number of images in each bin.
        bins: the bins by their position divided by `width`; bins without an image are missing.
    """

    id: int
    label: str = ""
    first: int = 0
    last: int = 0
    first_image: int = 0
    last_image: int = 0
    seen: int = 0
    filled: int = 0
    width: int = 1
    bins: dict[int, Bin] = field(default_factory=dict)

    def add(self, position: int, number: int, sample: TrackSample) -> None:
        """Add an image that shows the track.

        Args:
            position: position of the image in the trace, from 0.
            number: number of the image in the recording.
            sample: the track.
        """
        if not self.seen:
            self.first, self.first_image = position, number
        self.label, self.last, self.last_image = sample.label, position, number
        self.seen += 1
        self.filled += sample.source is not Source.FORWARD
        while position // self.width >= BINS:
            self._halve()
        self.bins.setdefault(position // self.width, Bin(number, number)).add(number, sample)

    def _halve(self) -> None:
        self.width *= 2
        halved: dict[int, Bin] = {}
        for place, item in self.bins.items():
            halved[place // 2] = halved[place // 2].merge(item) if place // 2 in halved else item
        self.bins = halved

    @property
    def hidden(self) -> int:
        """Number of images without the track between its first and its last one."""
        return self.last - self.first + 1 - self.seen

    @property
    def mean_score(self) -> float:
        """Mean score, 0..1."""
        return sum(item.total for item in self.bins.values()) / self.seen

    def seen_from(self, number: int) -> int:
        """Return the number of images that show the track from an image on, in whole bins."""
        return sum(item.images for item in self.bins.values() if item.last >= number)


class Curves(dict[int, TrackCurve]):
    """The curves of all tracks by id.

    Attributes:
        images: number of images so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.images = 0

    def add(self, image: ImageSample) -> None:
        """Add the next image."""
        for track_id, sample in image.tracks.items():
            self.setdefault(track_id, TrackCurve(track_id)).add(self.images, image.number, sample)
        self.images += 1
