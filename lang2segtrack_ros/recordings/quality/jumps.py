# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that move or change their size from one image to the next more than an object does."""

from __future__ import annotations

import math
from collections.abc import Iterator

from lang2segtrack_ros.recordings.quality.findings import Finding, Kind, Severity
from lang2segtrack_ros.recordings.quality.motion import Trails
from lang2segtrack_ros.recordings.quality.samples import ImageSample, TrackSample

MAX_STEP = 2
"""Images between two views of a track that still count as consecutive. A longer absence is a gap."""
AREA_RATIO = 1.8
"""Ratio of areas that counts as a jump. An object that passes behind another loses less than this in one image."""
MIN_AREA = 40.0
"""Pixels. Rounding alone changes the area of smaller masks by this ratio."""
DISPLACEMENT = 0.5
"""Distance from the predicted place, in sizes of the object. A mask that keeps half of its object moves by a quarter."""
MIN_DISPLACEMENT = 4.0
"""Pixels. Boxes of small objects move by so much through rounding alone."""
HIGH_FACTOR = 2.0
"""Jumps by this factor over their limit are of medium severity; the others are of low severity, because most heal at once."""


def area_jumps(image: ImageSample, trails: Trails) -> Iterator[Finding]:
    """Yield a finding for each mask whose area changes by a ratio of `AREA_RATIO` in one image.

    Masks at the border are left out, because objects enter and leave there.

    Args:
        image: the image.
        trails: the tracks before this image.
    """
    for track_id, sample in image.tracks.items():
        last = _previous(track_id, image, trails)
        if last is None or image.at_border(sample.box) or image.at_border(last.box) or max(sample.area, last.area) < MIN_AREA:
            continue
        ratio = sample.area / max(last.area, 1.0)
        if max(ratio, 1 / ratio) >= AREA_RATIO:
            severity = Severity.MEDIUM if max(ratio, 1 / ratio) >= HIGH_FACTOR * AREA_RATIO else Severity.LOW
            reason = f"The mask changes from {last.area:.0f} to {sample.area:.0f} pixels, a factor of {max(ratio, 1 / ratio):.1f}."
            yield _finding(Kind.AREA_JUMP, severity, image, sample, reason)


def position_jumps(image: ImageSample, trails: Trails) -> Iterator[Finding]:
    """Yield a finding for each mask that is further from its predicted place than `DISPLACEMENT` sizes plus its speed.

    The speed is added because an object may stop or turn at once.

    Args:
        image: the image.
        trails: the tracks before this image.
    """
    for track_id, sample in image.tracks.items():
        if _previous(track_id, image, trails) is None:
            continue
        distance, limit = displacement(sample, image.number, trails)
        if distance > limit:
            severity = Severity.MEDIUM if distance >= HIGH_FACTOR * limit else Severity.LOW
            reason = f"The mask is {distance:.0f} pixels from the place that its motion predicts; its size and speed explain {limit:.0f}."
            yield _finding(Kind.POSITION_JUMP, severity, image, sample, reason)


def displacement(sample: TrackSample, number: int, trails: Trails) -> tuple[float, float]:
    """Return the distance of a track from its predicted place and the limit of a jump, in pixels.

    Args:
        sample: the track on the image.
        number: number of the image.
        trails: the tracks before this image, with this one among them.
    """
    motion = trails[sample.id].motion()
    x, y = motion.at(number)
    distance = math.hypot(sample.center[0] - x, sample.center[1] - y)
    steps = max(number - motion.image, 1)
    return distance, max(DISPLACEMENT * motion.size, MIN_DISPLACEMENT) + steps * math.hypot(motion.vx, motion.vy)


def _previous(track_id: int, image: ImageSample, trails: Trails) -> TrackSample | None:
    """Return the track on the image before; None if there is none, or too long ago."""
    if track_id not in trails:
        return None
    number, sample = trails[track_id].last
    return sample if image.number - number <= MAX_STEP else None


def _finding(kind: Kind, severity: Severity, image: ImageSample, sample: TrackSample, reason: str) -> Finding:
    return Finding(kind, severity, image.number, image.number, image.stamp_ns, sample.id, sample.label, reason)
