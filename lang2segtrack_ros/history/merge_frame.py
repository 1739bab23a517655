# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The merging stage of a backward pass: one mask for each object on one frame, from both directions.

1. Choice. Before the first frame of an object, the backward mask counts. The same holds where its run was accepted, in a gap or before
   a correction (see `merging`). Elsewhere the forward mask counts. A forward mask with a score below 0.4 that the backward pass does not
   confirm is hidden.
2. Shared masks. Two objects never share one mask, if one of both masks comes from the backward pass, or lies before a correction of one
   object. The mask with the stronger evidence stays. From strong to weak: a prompt or a correction by the user, a confident forward mask,
   a backward mask that a detection confirms, any other mask.
3. Exchange. The object that loses its mask takes that of the other direction, if this mask is free. Ids that are swapped in one
   direction are thus set right. Otherwise the object is hidden.

Agreement is the IoU of both directions. Confidence is the score s of the chosen mask; with another mask of score t that agrees, it is
1 - (1 - s) (1 - t), and with one that disagrees, it is s / 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

from lang2segtrack_ros.history.merging import SAME_OBJECT_IOU, is_confident, record_iou
from lang2segtrack_ros.history.records import Record, hidden_record
from lang2segtrack_ros.types.results import Source

_MIN_SCORE = 0.4  # a forward mask with a lower score needs the confirmation of the backward pass
_USER, _CONFIDENT, _DETECTED, _OTHER = 3, 2, 1, 0


@dataclass(frozen=True, eq=False)
class Directions:
    """The objects on one frame in both directions.

    Attributes:
        forward, backward: records by track id.
        ids: ids of the objects to merge.
        before_first: ids of the objects that the forward pass has not seen yet.
        accepted: ids of the objects whose backward masks fill a gap on this frame.
        corrected: ids of the objects whose backward masks replace wrong forward masks on this frame.
        prompted: ids of the objects that a prompt or a detection started or corrected on this frame.
    """

    forward: Mapping[int, Record]
    backward: Mapping[int, Record]
    ids: tuple[int, ...]
    before_first: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()
    corrected: frozenset[int] = frozenset()
    prompted: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Merged:
    """The merged trace of an object on one frame.

    Attributes:
        record: the chosen record.
        source: direction of its mask.
        agreement: IoU of both directions, NaN if one of them shows nothing.
        confidence: 0..1, NaN for a hidden object.
    """

    record: Record
    source: Source
    agreement: float = math.nan
    confidence: float = math.nan


def merge_frame(frame: Directions) -> dict[int, Merged]:
    """Return the merged objects of one frame in ascending order of ids. Objects that no direction knows are left out."""
    chosen = {track_id: merged for track_id in frame.ids if (merged := _choose(frame, track_id)) is not None}
    others = {key: Merged(item, Source.FORWARD) for key, item in frame.forward.items() if key not in frame.ids and is_confident(item)}
    for one, other in combinations(sorted({**others, **chosen}), 2):
        pair = {**others, **chosen}
        if _is_backward(frame, pair[one], one) or _is_backward(frame, pair[other], other):
            loser = one if _rank(frame, one, pair[one]) < _rank(frame, other, pair[other]) else other
            if loser in chosen and share_mask(pair[one].record, pair[other].record):
                chosen[loser] = _replaced(frame, loser, {key: item for key, item in pair.items() if key != loser})
    return {track_id: _judged(frame, track_id, merged) for track_id, merged in chosen.items()}


def _choose(frame: Directions, track_id: int) -> Merged | None:
    """Return the record of the direction that counts for an object."""
    forward, backward = frame.forward.get(track_id), frame.backward.get(track_id)
    if track_id in frame.before_first:
        return Merged(backward, Source.BACKWARD) if backward is not None else None
    if backward is not None and track_id in frame.accepted | frame.corrected:
        return Merged(backward, Source.MERGED)
    if forward is not None and backward is not None and track_id not in frame.prompted and _is_uncertain(forward, backward):
        return Merged(hidden_record(forward), Source.MERGED)
    return Merged(forward, Source.FORWARD) if forward is not None else None


def _is_uncertain(forward: Record, backward: Record) -> bool:
    """Return True if a forward mask has a low score, and the backward pass shows the object nowhere or elsewhere."""
    return forward["box"] is not None and forward["score"] < _MIN_SCORE and not share_mask(forward, backward)


def _is_backward(frame: Directions, merged: Merged, track_id: int) -> bool:
    return merged.source is not Source.FORWARD or track_id in frame.corrected


def _rank(frame: Directions, track_id: int, merged: Merged) -> int:
    """Return the strength of the evidence of a mask."""
    if track_id in frame.corrected or (merged.source is Source.FORWARD and track_id in frame.prompted):
        return _USER
    if merged.source is Source.FORWARD and is_confident(merged.record):
        return _CONFIDENT
    return _DETECTED if merged.record.get("detected") else _OTHER


def share_mask(one: Record, other: Record) -> bool:
    """Return True if two records show the same pixels."""
    return record_iou(one, other) >= SAME_OBJECT_IOU


def _replaced(frame: Directions, track_id: int, others: Mapping[int, Merged]) -> Merged:
    """Return the free mask of the other direction for an object that loses its mask, or a hidden record."""
    forward, backward = frame.forward.get(track_id), frame.backward.get(track_id)
    alternative = backward if forward is not None and track_id not in frame.before_first else None
    if alternative is not None and not any(share_mask(alternative, item.record) for item in others.values()):
        return Merged(alternative, Source.MERGED)
    known = forward if forward is not None else backward
    assert known is not None
    return Merged(hidden_record(known), Source.BACKWARD if track_id in frame.before_first else Source.MERGED)


def _judged(frame: Directions, track_id: int, merged: Merged) -> Merged:
    """Return a merged object with agreement and confidence."""
    forward, backward = frame.forward.get(track_id), frame.backward.get(track_id)
    agreement = math.nan
    if forward is not None and backward is not None and forward["box"] is not None and backward["box"] is not None:
        agreement = record_iou(forward, backward)
    if merged.record["box"] is None:
        return replace(merged, agreement=agreement)
    score = float(merged.record["score"])
    if math.isnan(agreement) or forward is None or backward is None:
        return replace(merged, confidence=score)
    other = float(backward["score"] if merged.source is Source.FORWARD else forward["score"])
    confidence = 1 - (1 - score) * (1 - other) if agreement >= SAME_OBJECT_IOU else score / 2
    return replace(merged, agreement=agreement, confidence=confidence)
