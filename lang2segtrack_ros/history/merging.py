# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Where a backward pass is asked for, and which of its masks are believed.

The forward pass is *sure* of an object on a frame when it shows it with a score (predicted IoU) of at least SURE, SAMURAI's own gate, or
when the user prompted it there. Everything else after the object's first frame is a *gap*. A backward pass starts

* on the object's first frame, from the mask it was prompted with: all before that frame is the backward pass's alone;
* a few frames after every gap, from the forward pass's mask there: it may fill the gap (`gap_frames`);
* on every frame on which the user corrected the object: what the forward pass said before was wrong (`corrected_frames`).

A mask of the backward pass replaces a gap's mask only if it is surer, and only if the run of frames it belongs to *proves itself*: either
it reaches the far side of the gap and overlaps there with the forward pass, so that both directions hold the same object at both ends;
or it vanishes inside the gap, but started from the mask on the near side without a break. A run that comes out on the far side on
something else has slipped and is not believed at all. Frames of which the forward pass is sure are never replaced but before a
correction, so a merged trace differs from the forward one in gaps alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pycocotools import mask as coco_mask

from lang2segtrack_ros.history.records import Record, record_rle
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.types.rle import Rle

SURE = 0.5
"""Least score of a mask that the forward pass is sure of."""
SAME_IOU = 0.5
"""Masks of both directions that overlap this much are of one object."""
SETTLED = 5
"""The backward pass starts this many sure frames after a gap, when the object is whole again; sooner when there are fewer."""
PROOF = 3
"""Frames in a row on which both directions must agree, or disagree, for the matter to be settled."""


def rle_iou(mask: Rle, other: Rle) -> float:
    """IoU of two encoded masks of one size."""
    a, b = ({"size": [item.height, item.width], "counts": item.counts.encode("ascii")} for item in (mask, other))
    return float(coco_mask.iou([a], [b], [0])[0][0])


def is_sure(track: Record | None, prompted: bool = False) -> bool:
    """Whether the forward pass is sure of an object, given its record on a frame."""
    return track is not None and track["box"] is not None and (prompted or track["score"] >= SURE)


@dataclass
class Outline:
    """What the forward pass did with an object, frame numbers all.

    Attributes:
        track_id: its id.
        label: its last name.
        first: the first frame that shows it.
        gaps: for each frame that a backward pass starts on to fill gaps, the first frame of the gap.
        corrections: frames on which the user corrected it.
        confirmed: whether it ever was more than tentative.
    """

    track_id: int
    label: str
    first: int
    gaps: dict[int, int] = field(default_factory=dict)
    corrections: list[int] = field(default_factory=list)
    confirmed: bool = False
    _gap: int | None = None
    _streak: int = 0
    _last_sure: int = 0

    def see(self, number: int, track: Record, prompted: bool) -> None:
        """Takes the next frame."""
        self.label = track["label"] or self.label
        self.confirmed = self.confirmed or track["state"] != TrackStatus.TENTATIVE.name.lower()
        if prompted and number > self.first and track["box"] is not None:
            self.corrections.append(number)
        if not is_sure(track, prompted):
            self.finish()
            if self._gap is None:
                self._gap = number
            return
        self._streak += 1
        self._last_sure = number
        if self._streak == SETTLED:
            self.finish()

    def finish(self) -> None:
        """A gap that has ended is noted."""
        if self._gap is not None and self._streak:
            self.gaps[self._last_sure] = self._gap
            self._gap = None
        self._streak = 0


def outlines(records: Iterable[Record], track_ids: Sequence[int] | None = None) -> dict[int, Outline]:
    """The outline of every object that is ever visible, or of the given ones, from records in time order.

    What never was more than tentative is a false alarm, and left out unless it is given.
    """
    found: dict[int, Outline] = {}
    for record in records:
        number, prompted = record["frame"], set(record["prompted"])
        for track in record["tracks"]:
            track_id = track["id"]
            if (track_ids is not None and track_id not in track_ids) or track["state"] == TrackStatus.REMOVED.name.lower():
                continue
            outline = found.get(track_id)
            if outline is None:
                if track["box"] is None:
                    continue
                outline = found[track_id] = Outline(track_id, track["label"], number)
            outline.see(number, track, track_id in prompted or number == outline.first)
    for outline in found.values():
        outline.finish()
    return {track_id: outline for track_id, outline in found.items() if outline.confirmed or track_ids is not None}


@dataclass(frozen=True)
class PassComparison:
    """What both directions say of an object on a frame.

    Attributes:
        number: of the frame.
        sure: whether the forward pass is.
        forward, backward: scores, 0 where the object is not shown.
        overlap: IoU of the masks, NaN where one is not shown.
    """

    number: int
    sure: bool
    forward: float
    backward: float
    overlap: float

    @staticmethod
    def of(number: int, forward: Record | None, backward: Record, prompted: bool) -> PassComparison:
        """From the records of both directions."""
        seen = forward is not None and forward["box"] is not None
        both = seen and backward["box"] is not None
        overlap = rle_iou(record_rle(forward), record_rle(backward)) if both and forward is not None else math.nan
        score = forward["score"] if seen and forward is not None else 0.0
        return PassComparison(number, is_sure(forward, prompted), score, backward["score"], overlap)

    @property
    def agrees(self) -> bool | None:
        """Whether both show one object, where the forward pass is sure and the backward pass shows something; else None."""
        return None if not self.sure or math.isnan(self.overlap) else self.overlap >= SAME_IOU


def gap_frames(comparisons: Sequence[PassComparison]) -> set[int]:
    """The frames on which a backward run is believed, by the rule above.

    Args:
        sights: of one run, by falling numbers, from the frame it started on.
    """
    taken: set[int] = set()
    place = 0
    while place < len(comparisons):
        if comparisons[place].sure:
            place += 1
            continue
        end = place
        while end < len(comparisons) and not comparisons[end].sure:
            end += 1
        taken |= _believed(comparisons, place, end)
        place = end
    return taken


def _believed(comparisons: Sequence[PassComparison], top: int, bottom: int) -> set[int]:
    """The frames to take of one gap, places top .. bottom - 1: the part that started before it, the part that goes on after it."""
    shown = [comparison.backward > 0 for comparison in comparisons]
    down = top
    while down < bottom and shown[down]:
        down += 1
    up = bottom
    while up > top and shown[up - 1]:
        up -= 1
    from_above = range(top, down) if top > 0 and shown[top - 1] else range(0)
    verdicts = []
    for comparison in comparisons[bottom : bottom + PROOF]:
        if comparison.agrees is None:
            break
        verdicts.append(comparison.agrees)
    proven = bool(verdicts) and sum(verdicts) * 2 > len(verdicts)
    slipped = bool(verdicts) and not proven
    places: set[int] = set()
    if proven:
        places |= set(range(up, bottom))
    if down < bottom or not slipped:  # it vanished inside the gap, or came out well, or the run ended with the gap
        places |= set(from_above)
    return {comparisons[place].number for place in places if comparisons[place].backward >= max(SURE, comparisons[place].forward)}


def corrected_frames(comparisons: Sequence[PassComparison]) -> set[int]:
    """The frames before a correction that the backward run replaces: down to where both directions agree for PROOF frames.

    Where they never do, the run is cut where the scores of the forward pass before and of the backward pass after the cut sum up highest:
    the user's word held at both ends.
    """
    streak = 0
    for place, comparison in enumerate(comparisons):
        streak = streak + 1 if comparison.agrees else 0
        if streak == PROOF:
            return {item.number for item in comparisons[: place - PROOF + 1] if item.backward > 0}
    gain, best, cut = 0.0, 0.0, 0
    for place, comparison in enumerate(comparisons):
        gain += comparison.backward - comparison.forward
        if gain > best:
            best, cut = gain, place + 1
    return {item.number for item in comparisons[:cut] if item.backward > 0}
