# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of tracks that show the same mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.motion import Trails
from lang2segtrack_ros.recordings.quality.samples import ImageSample, Pair

SAME_MASK = 0.5
"""IoU of two masks from which they show the same object, as in the merging of both passes."""
MIN_IMAGES = 2
"""Images in a row. A single one is healed by the next detection in most cases, and a switch needs two to show."""
MIN_BEFORE = 6
"""Images that show each track before a shared mask that may exchange them. A track that begins on another one is a duplicate only."""
_LONG = 10


@dataclass
class Shared:
    """Images in a row on which two tracks share a mask.

    Attributes:
        pair: the ids.
        label: label of the first one.
        first, last: numbers of the first and the last image.
        stamp_ns: timestamp of the first image.
        images: number of images.
        may_exchange: True if both tracks had a mask of their own before.
        worst: largest IoU.
    """

    pair: Pair
    label: str
    first: int
    last: int
    stamp_ns: int
    may_exchange: bool
    images: int = 0
    worst: float = 0.0


class SharedMasks:
    """The pairs of tracks that share a mask. Memory is constant for each pair that shares one now."""

    def __init__(self) -> None:
        self._open: dict[Pair, Shared] = {}

    def add(self, image: ImageSample, trails: Trails) -> list[Shared]:
        """Add an image. Return what ends before it and lasted for `MIN_IMAGES`.

        Args:
            image: the image.
            trails: the tracks before this image.
        """
        now = {pair: iou for pair, iou in image.overlaps.items() if iou >= SAME_MASK}
        ended = [self._open.pop(pair) for pair in sorted(set(self._open) - set(now))]
        for pair, iou in now.items():
            item = self._open.get(pair)
            if item is None:
                known = all(key in trails and trails[key].images >= MIN_BEFORE for key in pair)
                label = image.tracks[pair[0]].label
                item = self._open[pair] = Shared(pair, label, image.number, image.number, image.stamp_ns, known)
            item.last, item.images, item.worst = image.number, item.images + 1, max(item.worst, iou)
        return [item for item in ended if item.images >= MIN_IMAGES]

    def end(self) -> list[Shared]:
        """Return what lasts to the end."""
        ended = [item for _, item in sorted(self._open.items()) if item.images >= MIN_IMAGES]
        self._open.clear()
        return ended


def duplicate(item: Shared) -> Finding:
    """Return the finding for a shared mask."""
    reason = f"Tracks {item.pair[0]} and {item.pair[1]} share a mask on {item.images} images (IoU up to {item.worst:.2f})."
    severity = Severity.MEDIUM if item.images >= _LONG else Severity.LOW
    one, other = item.pair
    return Finding(Kind.DUPLICATE, severity, item.first, item.last, item.stamp_ns, one, item.label, reason, other, item.images, item.images)


def merged_switch(item: Shared) -> Iterator[Finding]:
    """Yield a suspected id switch: two tracks on one object may part with their ids exchanged, or one of them is on the wrong object."""
    if not item.may_exchange:
        return
    reason = f"Shared mask: tracks {item.pair[0]} and {item.pair[1]} show one object on {item.images} images, so one of them left its own."
    one, other = item.pair
    yield Finding(Kind.ID_SWITCH, Severity.MEDIUM, item.first, item.last, item.stamp_ns, one, item.label, reason, other, item.images)
