# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Start frames of the backward pass, and the rule that accepts its masks.

The forward pass is *confident* of an object on a frame in two cases. Either the user prompted the object there, or the frame shows it with
a score (predicted IoU) of at least CONFIDENT_SCORE, which is SAMURAI's own threshold. All other frames after the object's first frame
form *gaps*. A backward run starts

* on the object's first frame, from the prompted mask; all frames before it have backward masks only;
* a few frames after every gap, from the forward mask there; this run may fill the gap (`gap_frames`);
* on every frame on which the user corrected the object; forward masks before the correction were wrong (`corrected_frames`).

A backward mask replaces the forward mask in a gap only if its score is at least CONFIDENT_SCORE and at least the forward score. The mask
must also belong to a *verified* part of its run:

* The run overlaps the forward pass on the far side of the gap, so both directions hold the same object at both ends. The rule accepts the
  unbroken stretch of masks at the near side and the one at the far side.
* The object vanishes inside the gap. The rule accepts the unbroken stretch at the near side.
* The past ends with the gap, or the run shows nothing on the far side, so no frame contradicts the run. The rule accepts the same stretch.

A run that shows another object on the far side has switched objects. The rule then accepts masks only up to the frame where the object
vanished, and none if the object never vanished inside the gap. Frames with a confident forward mask keep this mask, except before a
correction. The merged trace therefore differs from the forward trace only in gaps and before corrections. `merge_frame` then compares the
objects of a frame with each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pycocotools import mask as coco_mask

from lang2segtrack_ros.history.records import Record, record_rle
from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.types.rle import Rle

CONFIDENT_SCORE = 0.5
"""Minimum score of a mask of which the forward pass is confident."""
SAME_OBJECT_IOU = 0.5
"""Minimum IoU of a forward and a backward mask that show the same object."""
SETTLE_FRAMES = 5
"""A backward run starts after this many confident frames behind a gap, when the object is whole again; earlier if the gap has fewer."""
VERDICT_FRAMES = 3
"""Consecutive frames on which both directions must agree, or must disagree, to settle a run."""


def rle_iou(mask: Rle, other: Rle) -> float:
    """Return the IoU of two encoded masks of the same size."""
    a, b = ({"size": [item.height, item.width], "counts": item.counts.encode("ascii")} for item in (mask, other))
    return float(coco_mask.iou([a], [b], [0])[0][0])


def boxes_overlap(box: Sequence[float], other: Sequence[float]) -> bool:
    """Return True if two boxes (x_min, y_min, x_max, y_max) share pixels. This is much faster than the IoU of two masks."""
    return max(box[0], other[0]) < min(box[2], other[2]) and max(box[1], other[1]) < min(box[3], other[3])


def record_iou(one: Record, other: Record) -> float:
    """Return the IoU of the masks of two records; 0 if one of them is hidden, or their boxes are apart."""
    if one["box"] is None or other["box"] is None or not boxes_overlap(one["box"], other["box"]):
        return 0.0
    return rle_iou(record_rle(one), record_rle(other))


def is_confident(track: Record | None, prompted: bool = False) -> bool:
    """Return True if the forward pass is confident of an object.

    Args:
        track: the object's forward record on a frame; None if it has none.
        prompted: True if the user prompted the object on this frame.
    """
    return track is not None and track["box"] is not None and (prompted or track["score"] >= CONFIDENT_SCORE)


@dataclass
class TrackSummary:
    """Summary of the forward trace of one object, in frame numbers.

    Attributes:
        track_id: the track id.
        label: the latest label.
        first: the first frame that shows the object.
        gaps: for each frame on which a backward run starts to fill a gap, the first frame of this gap.
        corrections: frames on which the user corrected the object.
        confirmed: True if the track was more than tentative at any time.
    """

    track_id: int
    label: str
    first: int
    gaps: dict[int, int] = field(default_factory=dict)
    corrections: list[int] = field(default_factory=list)
    confirmed: bool = False
    _gap: int | None = None
    _streak: int = 0
    _last_confident: int = 0

    def add_frame(self, number: int, track: Record, prompted: bool) -> None:
        """Add the next frame.

        Args:
            number: the frame number; it must rise from call to call.
            track: the object's forward record on the frame.
            prompted: True if the user prompted the object on this frame.
        """
        self.label = track["label"] or self.label
        self.confirmed = self.confirmed or track["state"] != TrackStatus.TENTATIVE.name.lower()
        if prompted and number > self.first and track["box"] is not None:
            self.corrections.append(number)
        if not is_confident(track, prompted):
            self.close_gap()
            if self._gap is None:
                self._gap = number
            return
        self._streak += 1
        self._last_confident = number
        if self._streak == SETTLE_FRAMES:
            self.close_gap()

    def close_gap(self) -> None:
        """Add the current gap to `gaps` if confident frames follow it, and reset the count of confident frames."""
        if self._gap is not None and self._streak:
            self.gaps[self._last_confident] = self._gap
            self._gap = None
        self._streak = 0


def summarize_tracks(records: Iterable[Record], track_ids: Sequence[int] = ()) -> dict[int, TrackSummary]:
    """Return the summary of every object that is visible on at least one frame, by track id.

    A track that stayed tentative counts as a false alarm. The result omits it unless `track_ids` names it.

    Args:
        records: forward records of frames in time order.
        track_ids: objects that may be tentative.
    """
    summaries: dict[int, TrackSummary] = {}
    for record in records:
        number, prompted = record["frame"], set(record["prompted"])
        for track in record["tracks"]:
            track_id = track["id"]
            if track["state"] == TrackStatus.REMOVED.name.lower():
                continue
            summary = summaries.get(track_id)
            if summary is None:
                if track["box"] is None:
                    continue
                summary = summaries[track_id] = TrackSummary(track_id, track["label"], number)
            summary.add_frame(number, track, track_id in prompted or number == summary.first)
    for summary in summaries.values():
        summary.close_gap()
    return {track_id: summary for track_id, summary in summaries.items() if summary.confirmed or track_id in track_ids}


@dataclass(frozen=True)
class PassComparison:
    """Comparison of the forward and the backward pass for one object on one frame.

    Attributes:
        number: the frame number.
        is_confident: True if the forward pass is confident.
        forward, backward: scores, 0 where the pass does not show the object.
        overlap: IoU of the masks, NaN where a pass does not show the object.
    """

    number: int
    is_confident: bool
    forward: float
    backward: float
    overlap: float

    @staticmethod
    def of(number: int, forward: Record | None, backward: Record | None, prompted: bool) -> PassComparison:
        """Return the comparison of two records.

        Args:
            number: the frame number.
            forward: the object's forward record; None if it has none.
            backward: the object's backward record; None if it has none.
            prompted: True if the user prompted the object on this frame.
        """
        visible = forward is not None and forward["box"] is not None
        overlap = math.nan
        if visible and forward is not None and backward is not None and backward["box"] is not None:
            overlap = record_iou(forward, backward)
        score = forward["score"] if visible and forward is not None else 0.0
        return PassComparison(number, is_confident(forward, prompted), score, backward["score"] if backward is not None else 0.0, overlap)

    @property
    def agrees(self) -> bool | None:
        """True if both passes show the same object; None if the forward pass is not confident or a mask is missing."""
        return None if not self.is_confident or math.isnan(self.overlap) else self.overlap >= SAME_OBJECT_IOU


def gap_frames(comparisons: Sequence[PassComparison]) -> set[int]:
    """Return the frames on which the masks of a backward run are accepted, by the rule in the module docstring.

    Args:
        comparisons: of one run, by falling frame numbers; the start frame itself has no entry.
    """
    accepted: set[int] = set()
    index = 0
    while index < len(comparisons):
        if comparisons[index].is_confident:
            index += 1
            continue
        end = index
        while end < len(comparisons) and not comparisons[end].is_confident:
            end += 1
        accepted |= _accepted_in_gap(comparisons, index, end)
        index = end
    return accepted


def _accepted_in_gap(comparisons: Sequence[PassComparison], begin: int, end: int) -> set[int]:
    """Return the accepted frames of one gap, given by the indices begin .. end - 1.

    The near part is the unbroken stretch of masks at the newest frames of the gap, the far part the stretch at its oldest frames.
    """
    shown = [comparison.backward > 0 for comparison in comparisons]
    near_end = begin
    while near_end < end and shown[near_end]:
        near_end += 1
    far_begin = end
    while far_begin > begin and shown[far_begin - 1]:
        far_begin -= 1
    near_part = range(begin, near_end) if begin > 0 and shown[begin - 1] else range(0)
    verdicts = []
    for comparison in comparisons[end : end + VERDICT_FRAMES]:
        if comparison.agrees is None:
            break
        verdicts.append(comparison.agrees)
    same_object = bool(verdicts) and sum(verdicts) * 2 > len(verdicts)
    other_object = bool(verdicts) and not same_object
    indices: set[int] = set()
    if same_object:
        indices |= set(range(far_begin, end))
    if near_end < end or not other_object:  # it vanished inside the gap, or agrees behind it, or the run ends with the gap
        indices |= set(near_part)
    return {
        comparisons[index].number for index in indices if comparisons[index].backward >= max(CONFIDENT_SCORE, comparisons[index].forward)
    }


def corrected_frames(comparisons: Sequence[PassComparison]) -> set[int]:
    """Return the frames before a correction on which the backward masks replace the forward masks.

    These frames end where both directions agree on VERDICT_FRAMES consecutive frames. If they never agree, the function cuts the run where
    the sum of two scores is highest: the forward scores before the cut and the backward scores after it. The user's prompts then hold at
    both ends.

    Args:
        comparisons: of the run from the correction, by falling frame numbers.
    """
    streak = 0
    for index, comparison in enumerate(comparisons):
        streak = streak + 1 if comparison.agrees else 0
        if streak == VERDICT_FRAMES:
            return {item.number for item in comparisons[: index - VERDICT_FRAMES + 1] if item.backward > 0}
    gain, best, cut = 0.0, 0.0, 0
    for index, comparison in enumerate(comparisons):
        gain += comparison.backward - comparison.forward
        if gain > best:
            best, cut = gain, index + 1
    return {item.number for item in comparisons[:cut] if item.backward > 0}
