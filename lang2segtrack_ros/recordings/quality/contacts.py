# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Contacts: two tracks come close, and part again. Their motion and size before and after show whether their ids were exchanged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.motion import FIT, Motion, Trail, Trails
from lang2segtrack_ros.recordings.quality.samples import ImageSample, Pair

CLOSE = 0.8
"""Distance of two centers, in mean sizes, at which a contact begins: both boxes overlap by a fifth."""
APART = 1.0
"""Distance at which a contact ends: the boxes of two squares no longer overlap."""
SETTLED = 4
"""Images apart after which the motion is judged: enough for a velocity."""
MAX_IMAGES = 90
"""Length of a contact in images after which nothing is judged: motion predicts nothing for so long."""
HORIZON = 8
"""Images over which a difference of velocities counts as a difference of places."""
SIZE_WEIGHT = 3.0
"""Weight of a difference of sizes or shapes: a difference of a third counts like one size of distance."""
EXCHANGED = 0.6
"""Ratio of the costs of exchanged and kept ids below which the ids count as exchanged."""
MIN_COST = 1.0
"""Cost of the kept ids, in sizes, below which they are plausible, whatever an exchange would cost."""


@dataclass
class Contact:
    """Two tracks that are close.

    Attributes:
        pair: their ids.
        before: their motion before the contact.
        first: number of its first image.
        stamp_ns: timestamp of this image.
        closest: smallest distance in mean sizes, and the number of its image.
        last: number of the latest image on which they are close, or on which one of them is hidden.
    """

    pair: Pair
    before: tuple[Motion, Motion]
    first: int
    stamp_ns: int
    closest: tuple[float, int]
    last: int
    _apart: int = 0

    def cost(self, after: tuple[Motion, Motion]) -> tuple[float, float]:
        """Return the costs of kept and of exchanged ids, in sizes; see `difference`."""
        one, other = self.before
        kept = difference(one, after[0]) + difference(other, after[1])
        return kept, difference(one, after[1]) + difference(other, after[0])


def difference(before: Motion, after: Motion) -> float:
    """Return how much a motion differs from the continuation of an earlier one, in sizes of the object.

    The difference sums the distance from the predicted place, the difference of velocities, and those of size and shape. The distance
    counts up to a maximum that is as large as a whole crossing, because an object may turn.
    """
    x, y = before.at(after.image)
    size = (before.size + after.size) / 2
    place = min(math.hypot(after.x - x, after.y - y) / size, 2.0)
    velocity = min(HORIZON * math.hypot(after.vx - before.vx, after.vy - before.vy) / size, 2.0)
    shape = abs(math.log(after.size / before.size)) + abs(after.aspect - before.aspect) / 2
    return place + velocity + SIZE_WEIGHT * min(shape, 1.0)


class Contacts:
    """The contacts of all pairs of tracks. Memory is constant for each pair that is close now."""

    def __init__(self) -> None:
        self._open: dict[Pair, Contact] = {}
        self._after: dict[Pair, tuple[Trail, Trail]] = {}

    def add(self, image: ImageSample, trails: Trails) -> Iterator[tuple[Contact, tuple[Motion, Motion]]]:
        """Add an image. Yield each contact that ended `SETTLED` images ago, with the motion after it.

        Args:
            image: the image.
            trails: the tracks before this image.
        """
        ids = list(image.tracks)
        for place, one in enumerate(ids):
            for other in ids[place + 1 :]:
                distance = _distance(image, one, other)
                if distance <= CLOSE or ((one, other) in self._open and distance <= APART):
                    self._close((one, other), distance, image, trails)
        for pair, contact in sorted(self._open.items()):
            if any(track_id in image.removed for track_id in pair) or image.number - contact.first > MAX_IMAGES:
                self._drop(pair)
            elif not all(track_id in image.tracks for track_id in pair):
                contact.last, contact._apart = image.number, 0
                self._after.pop(pair, None)
            elif contact.last != image.number:
                settled = self._part(contact, image)
                if settled is not None:
                    self._drop(pair)
                    yield contact, settled

    def _close(self, pair: Pair, distance: float, image: ImageSample, trails: Trails) -> None:
        contact = self._open.get(pair)
        if contact is None:
            if not all(track_id in trails and image.number - trails[track_id].last[0] <= FIT for track_id in pair):
                return  # a track that begins in a contact has no motion before it
            one, other = (trails[track_id].motion() for track_id in pair)
            contact = self._open[pair] = Contact(pair, (one, other), image.number, image.stamp_ns, (distance, image.number), image.number)
        contact.last, contact._apart = image.number, 0
        contact.closest = min(contact.closest, (distance, image.number))
        self._after.pop(pair, None)

    def _part(self, contact: Contact, image: ImageSample) -> tuple[Motion, Motion] | None:
        one, other = self._after.setdefault(contact.pair, (Trail(), Trail()))
        for trail, track_id in zip((one, other), contact.pair):
            trail.add(image.number, image.tracks[track_id])
        contact._apart += 1
        return (one.motion(), other.motion()) if contact._apart >= SETTLED else None

    def _drop(self, pair: Pair) -> None:
        del self._open[pair]
        self._after.pop(pair, None)


def _distance(image: ImageSample, one: int, other: int) -> float:
    """Return the distance of the centers of two tracks in mean sizes."""
    first, second = image.tracks[one], image.tracks[other]
    (x1, y1), (x2, y2) = first.center, second.center
    return math.hypot(x2 - x1, y2 - y1) / ((first.size + second.size) / 2)


def exchanged(contact: Contact, after: tuple[Motion, Motion]) -> Iterator[Finding]:
    """Yield a suspected id switch if the motion after a contact fits exchanged ids better than the kept ones.

    Tracks of different labels are judged, too: a mask may go over to any object.
    """
    kept, swapped = contact.cost(after)
    if kept < MIN_COST or swapped > EXCHANGED * kept:
        return
    one, other = contact.pair
    reason = (
        f"Crossing: tracks {one} and {other} meet on images {contact.first} to {contact.last}; motion and size fit exchanged ids "
        f"better (difference {swapped:.1f} instead of {kept:.1f} object sizes)."
    )
    severity = Severity.HIGH if swapped <= EXCHANGED / 2 * kept else Severity.MEDIUM
    label = contact.before[0].label
    yield Finding(Kind.ID_SWITCH, severity, contact.first, contact.last, contact.stamp_ns, one, label, reason, other)
