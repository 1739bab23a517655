# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Suspected id switches that one image shows: a jump to the place of another track, a new track at the place of a lost one, and two passes
that show different objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.jumps import MAX_STEP, displacement
from lang2segtrack_ros.recordings.quality.motion import Trails
from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample
from lang2segtrack_ros.recordings.quality.unsure import NO_AGREEMENT

SAME_PLACE = 0.4
"""Distance of two centers, in sizes, at which they are at the same place: the boxes share half of their area."""
LEFT = 0.5
"""Share of the limit of a jump from which the other track has left its place: in an exchange, one of both may move less."""
SHARED = 0.3
"""IoU of both masks from which the tracks share a place."""
REPLACED_WITHIN = 45
"""Images after the loss of a track in which a new track counts as its replacement; three seconds at 15 images per second."""
REPLACED_DISTANCE = 0.75
"""Distance of a new track from the place of the lost one, in sizes: the lost object may have moved meanwhile."""
SAME_SIZE = 1.6
"""Ratio of sizes up to which two tracks may show one object."""


def place_taken(image: ImageSample, trails: Trails) -> Iterator[Finding]:
    """Yield a finding for each track that jumps to the place of another track.

    The other track was at this place on its latest image, and left it: it is hidden now, jumped itself, or shares its mask. Otherwise the
    mask has only changed its shape beside an object that hides a part of it.

    Args:
        image: the image.
        trails: the tracks before this image.
    """
    for track_id, sample in image.tracks.items():
        if track_id not in trails or image.number - trails[track_id].last[0] > REPLACED_WITHIN:
            continue
        distance, limit = displacement(sample, image.number, trails)
        if distance <= limit:
            continue
        for other, trail in trails.items():
            number, last = trail.last
            is_there = image.number - number <= MAX_STEP and _same_place(sample, last, SAME_PLACE)
            if other != track_id and is_there and _has_left(track_id, other, image, trails):
                reason = f"Jump: track {track_id} moves {distance:.0f} pixels to the place of track {other}."
                yield _switch(image, sample, other, reason, Severity.MEDIUM)
                break


def replaced(image: ImageSample, trails: Trails) -> Iterator[Finding]:
    """Yield a finding for each new track that begins at the place where another one of its label was lost.

    Args:
        image: the image.
        trails: the tracks before this image.
    """
    for track_id, sample in image.tracks.items():
        if track_id in trails:
            continue
        for other, trail in trails.items():
            number, last = trail.last
            is_lost = other not in image.tracks and 0 < image.number - number <= REPLACED_WITHIN
            if is_lost and last.label == sample.label and _same_place(sample, last, REPLACED_DISTANCE):
                count = image.number - number
                reason = f"Replacement: track {track_id} begins at the place where track {other} was last seen {count} images before."
                yield _switch(image, sample, other, reason, Severity.MEDIUM)
                break


def passes_differ(image: ImageSample) -> Iterator[Finding]:
    """Yield a finding for each visible track whose masks from both passes do not overlap at all.

    Both passes rarely make the same mistake, so one of them is on another object.

    Args:
        image: the image.
    """
    for sample in image.tracks.values():
        if sample.agreement <= NO_AGREEMENT:  # False for NaN
            reason = f"Passes: the forward and the backward pass show track {sample.id} at different places (IoU {sample.agreement:.2f})."
            yield _switch(image, sample, None, reason, Severity.MEDIUM)


def _has_left(track_id: int, other: int, image: ImageSample, trails: Trails) -> bool:
    """Return True if the other track is no longer at the place that it had alone."""
    if other not in image.tracks:
        return True
    distance, limit = displacement(image.tracks[other], image.number, trails)
    pair = min(track_id, other), max(track_id, other)
    return distance > LEFT * limit or image.overlaps.get(pair, 0.0) >= SHARED


def _same_place(one: TrackSample, other: TrackSample, limit: float) -> bool:
    size = (one.size + other.size) / 2
    distance = math.hypot(one.center[0] - other.center[0], one.center[1] - other.center[1])
    return distance <= limit * size and max(one.size, other.size) <= SAME_SIZE * min(one.size, other.size)


def _switch(image: ImageSample, sample: TrackSample, other: int | None, reason: str, severity: Severity) -> Finding:
    return Finding(Kind.ID_SWITCH, severity, image.number, image.number, image.stamp_ns, sample.id, sample.label, reason, other)
