# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a run on a clip without known truth: does it show the behavior of networks with trained weights?

The limits are wide. They tell working weights from random or damaged ones, and do not measure accuracy.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

import numpy as np

from lang2segtrack_ros.identity.association import box_iou
from lang2segtrack_ros.types.rle import Box, Rle

MIN_SEEN = 0.5
"""Minimum fraction of the images on which an object of a phrase is visible."""
MIN_INSIDE = 0.8
"""Minimum mean fraction of the pixels of a mask inside the detected box of its object."""
MIN_BOX_IOU = 0.5
"""Minimum mean IoU of the box around a mask and the detected box of its object."""
SCORES = (0.5, 1.0)
"""Range of the mean score of all masks."""
FPS = {"cpu": (0.01, 1000.0), "cuda": (0.5, 5000.0)}
"""Range of the median rate of the forward pass by type of device, images per second."""
MIN_AGREEMENT = 0.8
"""Minimum mean IoU of the masks of a forward and a backward pass."""


@dataclass(frozen=True)
class Sighting:
    """A visible, announced object on one image.

    Attributes:
        frame: number of the image.
        track_id: id of the object.
        label: phrase of the object.
        score: score of its mask, 0..1.
        box: box around the mask in pixels.
        mask: the encoded mask.
    """

    frame: int
    track_id: int
    label: str
    score: float
    box: Box
    mask: Rle


@dataclass(frozen=True)
class BoxMatch:
    """A mask and the detected box of the same phrase that fits it best.

    Attributes:
        inside: fraction of the mask's pixels inside the detected box.
        iou: IoU of the box around the mask and the detected box.
    """

    inside: float
    iou: float


@dataclass(frozen=True)
class Observations:
    """All that the checks read.

    Attributes:
        phrases: phrases of the text prompt.
        frames: number of images.
        sightings: visible objects of the forward pass.
        matches: masks with their detected boxes, on sampled images.
        fps: rate of the forward pass on each image, images per second.
        agreements: IoU of both directions, one entry for each compared mask, by track id.
        device_type: "cpu" or "cuda".
    """

    phrases: tuple[str, ...]
    frames: int
    sightings: Sequence[Sighting] = ()
    matches: Sequence[BoxMatch] = ()
    fps: Sequence[float] = ()
    agreements: Mapping[int, Sequence[float]] = field(default_factory=dict)
    device_type: str = "cpu"


@dataclass(frozen=True)
class Check:
    """A measured value and its limits.

    Attributes:
        name: name of the check.
        value: measured value. NaN if there was nothing to measure.
        low, high: limits, both inclusive.
    """

    name: str
    value: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """Return whether the value lies within its limits. NaN does not."""
        return self.low <= self.value <= self.high

    @property
    def limits(self) -> str:
        """Return the limits as a text."""
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:g}"

    @property
    def shown_value(self) -> str:
        """Return the value as a text."""
        return "nothing to measure" if math.isnan(self.value) else f"{self.value:.3g}"


def check_phrase(seen: Observations, phrase: str) -> Check:
    """Check the fraction of the images on which a phrase has a visible object.

    Args:
        seen: the observations.
        phrase: the phrase.
    """
    frames = {item.frame for item in seen.sightings if item.label == phrase}
    return Check(f'found: "{phrase}"', len(frames) / seen.frames if seen.frames else math.nan, MIN_SEEN, math.inf)


def check_ids(seen: Observations, phrase: str) -> Check:
    """Check that the objects of a phrase keep their ids.

    The value counts the ids beyond the largest number of objects visible at once. Such an id is a new id for a known object, a false
    detection, or an object that entered after another one had left.

    Args:
        seen: the observations.
        phrase: the phrase.
    """
    own = [item for item in seen.sightings if item.label == phrase]
    at_once = Counter(item.frame for item in own)
    extra = len({item.track_id for item in own}) - max(at_once.values()) if own else math.nan
    return Check(f'additional ids: "{phrase}"', extra, -math.inf, 0)


def check_inside(seen: Observations) -> Check:
    """Check that masks lie inside the detected boxes of their objects."""
    return Check("mask inside detected box", _mean(item.inside for item in seen.matches), MIN_INSIDE, math.inf)


def check_boxes(seen: Observations) -> Check:
    """Check that the boxes around masks agree with the detected boxes of their objects. A mask of few pixels fails only here."""
    return Check("IoU of mask's box and detected box", _mean(item.iou for item in seen.matches), MIN_BOX_IOU, math.inf)


def check_scores(seen: Observations) -> Check:
    """Check the mean score of all masks."""
    return Check("mean score", _mean(item.score for item in seen.sightings), *SCORES)


def check_speed(seen: Observations) -> Check:
    """Check the median rate of the forward pass."""
    return Check("images per second (median)", median(seen.fps) if seen.fps else math.nan, *FPS[seen.device_type])


def check_agreement(seen: Observations) -> Check:
    """Check the mean IoU of the forward and the backward masks. Each object has the same weight."""
    return Check("IoU of forward and backward masks", _mean(map(_mean, seen.agreements.values())), MIN_AGREEMENT, math.inf)


def run_checks(seen: Observations) -> list[Check]:
    """Return all checks in the order of the report."""
    by_phrase = [check(seen, phrase) for phrase in seen.phrases for check in (check_phrase, check_ids)]
    return [*by_phrase, check_inside(seen), check_boxes(seen), check_scores(seen), check_agreement(seen), check_speed(seen)]


def match_boxes(sighting: Sighting, boxes: Sequence[Box]) -> BoxMatch | None:
    """Compare a mask with the detected box that overlaps it most.

    Args:
        sighting: the object.
        boxes: detected boxes of the same phrase on the same image, pixels.

    Returns:
        The comparison, or None if there is no box.
    """
    if not boxes:
        return None
    ious = box_iou(np.array([sighting.box]), np.array(boxes))[0]
    best = int(ious.argmax())
    (left, top), (right, bottom) = np.maximum(np.floor(boxes[best][:2]), 0).astype(int), np.ceil(boxes[best][2:]).astype(int)
    mask = sighting.mask.decode()
    return BoxMatch(float(mask[top : max(bottom, 0), left : max(right, 0)].sum() / mask.sum()), float(ious[best]))


def summarize_tracks(seen: Observations) -> list[dict[str, object]]:
    """Return a row for each object: id, label, first and last image, number of images, mean score, agreement of both directions."""
    by_id: dict[int, list[Sighting]] = defaultdict(list)
    for item in seen.sightings:
        by_id[item.track_id].append(item)
    return [
        {
            "id": track_id,
            "label": items[-1].label,
            "first_frame": items[0].frame,
            "last_frame": items[-1].frame,
            "frames": len(items),
            "mean_score": round(fmean(item.score for item in items), 4),
            "agreement": finite_or_none(_mean(seen.agreements.get(track_id, ()))),
        }
        for track_id, items in sorted(by_id.items())
    ]


def finite_or_none(value: float) -> float | None:
    """Return a rounded number, or None for NaN and infinite values, which JSON lacks."""
    return round(value, 4) if math.isfinite(value) else None


def _mean(values: Iterable[float]) -> float:
    """Return the mean; NaN without a value."""
    numbers = list(values)
    return fmean(numbers) if numbers else math.nan
