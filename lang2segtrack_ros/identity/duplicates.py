# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Duplicates: two tracks of one label on the same pixels.

Two tracks of one label on the same pixels for `merge_frames` frames are one object, and the older id stays. Tracks that were seen apart
before are two objects, and one track has moved to the other object. If the detector looks for them, the less certain track needs a new
detection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lang2segtrack_ros.identity.association import box_iou, track_iou
from lang2segtrack_ros.identity.track_state import Pair
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import Track

_MERGE_IOU = 0.7  # mask IoU from which two tracks are on the same pixels
APART_FRAMES = 5  # frames on which two tracks must have been seen apart to be two objects


@dataclass(frozen=True)
class DuplicateOptions:
    """Options of the merging of duplicates."""

    merge_frames: int = option(
        4,
        "Number of consecutive images with two tracks of one label on the same pixels, after which they are merged. Set to 0 to disable.",
        0,
        10000,
    )


@dataclass(frozen=True)
class PairHistory:
    """The relation of two tracks of one label, the older track first.

    Attributes:
        frames_apart: number of frames on which the tracks were apart.
        frames_together: number of consecutive frames on which the tracks were on the same pixels.
        score_difference: score of the older track minus that of the younger one, summed over the frames together.
    """

    frames_apart: int = 0
    frames_together: int = 0
    score_difference: float = 0.0


@dataclass(frozen=True)
class Duplicates:
    """The relations of all pairs after a frame.

    Attributes:
        pairs: the relations by pair of ids.
        duplicates: ids of tracks that are duplicates of an older one.
        suspected: ids of tracks that have probably moved to another object.
    """

    pairs: Mapping[Pair, PairHistory]
    duplicates: tuple[int, ...] = ()
    suspected: tuple[int, ...] = ()


def find_duplicates(pairs: Mapping[Pair, PairHistory], tracks: Sequence[Track], options: DuplicateOptions) -> Duplicates:
    """Compare all visible tracks of one label on a frame.

    Args:
        pairs: the relations before the frame.
        tracks: tracks of the frame.
        options: see `DuplicateOptions`.
    """
    if not options.merge_frames:
        return Duplicates(pairs)
    visible = sorted((track for track in tracks if track.box is not None), key=lambda track: track.id)
    boxes = np.array([track.box for track in visible], float).reshape(-1, 4)
    touching = box_iou(boxes, boxes) > 0
    updated, duplicates, suspected = dict(pairs), set(), []
    for index, older in enumerate(visible):
        for other, younger in enumerate(visible[index + 1 :], index + 1):
            if older.label != younger.label:
                continue
            key = older.id, younger.id
            history = _next(pairs.get(key, PairHistory()), older, younger, bool(touching[index, other]))
            if history.frames_together >= options.merge_frames:
                if history.frames_apart < APART_FRAMES:
                    duplicates.add(younger.id)
                else:
                    suspected.append(younger.id if history.score_difference >= 0 else older.id)
                    history = PairHistory(history.frames_apart)
            updated[key] = history
    return Duplicates(updated, tuple(sorted(duplicates)), tuple(suspected))


def _next(history: PairHistory, older: Track, younger: Track, touching: bool) -> PairHistory:
    """Return the relation of two tracks after one more frame."""
    if not touching:
        return PairHistory(history.frames_apart + 1)
    if track_iou(older, younger) < _MERGE_IOU:
        return PairHistory(history.frames_apart)
    return PairHistory(history.frames_apart, history.frames_together + 1, history.score_difference + older.score - younger.score)
