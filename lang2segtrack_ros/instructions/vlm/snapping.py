# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects for the places of an answer: a visible track, a detection, or a new box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector, detect, unknown_words
from lang2segtrack_ros.detection.instruction_resolver import SAME_OBJECT_IOU
from lang2segtrack_ros.instructions.scene import box_iou
from lang2segtrack_ros.types.prompts import PromptError, plain_name
from lang2segtrack_ros.types.results import Track

SCORE = 1.0
"""Score of an object by its box, because vision-language models give none."""
NAMELESS = "object"
"""Label of an object that the answer does not name."""


@dataclass(frozen=True)
class NoObject:
    """A point without an object.

    Attributes:
        reason: why, as a sentence.
    """

    reason: str


def of_track(track: Track, label: str = "") -> Detection:
    """Return the detection of a visible track, with the box of the track.

    Args:
        track: a track with a box.
        label: name of the object. Empty for that of the track.
    """
    assert track.box is not None
    return Detection(label or track.label or NAMELESS, SCORE, track.box)


def at_box(box: tuple[float, float, float, float], label: str, tracks: Sequence[Track]) -> Detection:
    """Return the track that has nearly this box, or a new object.

    Args:
        box: (x_min, y_min, x_max, y_max) in pixels.
        label: name of the object, may be empty.
        tracks: the visible tracks.
    """
    overlaps = [(box_iou(track.box, box), track.id, track) for track in tracks if track.box is not None]
    overlap, _, best = max(overlaps, key=lambda item: item[:2], default=(0.0, 0, None))
    if best is not None and overlap >= SAME_OBJECT_IOU:
        return of_track(best, label)
    return Detection(label or NAMELESS, SCORE, box)


def at_point(
    point: tuple[float, float],
    label: str,
    tracks: Sequence[Track],
    detector: Detector | None,
    color: NDArray[np.uint8],
    threshold: float | None,
) -> Detection | NoObject:
    """Return the object at a point: the smallest visible track that covers it, else the smallest detection around it.

    Args:
        point: (x, y) in pixels.
        label: name of the object, for the detector.
        tracks: the visible tracks.
        detector: the detector, or None.
        color: uint8 [H, W, 3], RGB.
        threshold: minimum score of a detection, 0..1. None uses the default of the detector.

    Raises:
        DetectorError: the result of the detector is not valid.
    """
    x, y = min(int(point[0]), color.shape[1] - 1), min(int(point[1]), color.shape[0] - 1)
    covering = [track for track in tracks if track.mask[y, x]]
    if covering:
        return of_track(min(covering, key=lambda track: np.count_nonzero(track.mask)), label)
    place, phrase = f"the point ({x}, {y})", plain_name(label)
    if detector is None:
        return NoObject(f"{place} lies on no track, and there is no detector that could give its box")
    if not phrase:
        return NoObject(f"{place} lies on no track and has no name for the detector")
    try:
        unknown = unknown_words(detector, [phrase])
    except PromptError as error:
        return NoObject(f'{place} lies on no track, and the detector does not search for "{phrase}": {error}')
    if unknown:
        return NoObject(f'{place} lies on no track, and the detector "{detector.name}" does not know: {", ".join(unknown)}')
    found = detect(detector, color, [phrase], [detector.default_threshold if threshold is None else threshold])
    around = [item for item in found if item.box[0] <= point[0] <= item.box[2] and item.box[1] <= point[1] <= item.box[3]]
    if not around:
        return NoObject(f'{place} lies on no track, and the detector finds no "{phrase}" there')
    best = min(around, key=lambda item: (item.box[2] - item.box[0]) * (item.box[3] - item.box[1]))
    return Detection(label, best.score, best.box, best.mask)
