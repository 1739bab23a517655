# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The rule that accepts backward masks, case by case. Comparisons are listed newest frame first, in the order of a sweep."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lang2segtrack_ros.history.merging import (
    SETTLE_FRAMES,
    PassComparison,
    TrackSummary,
    corrected_frames,
    gap_frames,
    rle_iou,
    summarize_tracks,
)
from lang2segtrack_ros.types.rle import Rle

# Comparisons of one frame: forward is confident, forward score, backward score, IoU.
SAME, OTHER = (True, 0.9, 0.9, 0.8), (True, 0.9, 0.9, 0.1)
FILLED, BOTH_HIDDEN = (False, 0.0, 0.8, math.nan), (False, 0.0, 0.0, math.nan)
BACK_HIDDEN, WEAK, WEAK_BOTH = (True, 0.9, 0.0, math.nan), (False, 0.3, 0.8, 0.2), (False, 0.45, 0.4, 0.2)


def comparisons(*cases: tuple[bool, float, float, float]) -> list[PassComparison]:
    return [PassComparison(len(cases) - index, *values) for index, values in enumerate(cases)]


@pytest.mark.parametrize(
    ("cases", "accepted"),
    [
        ([SAME, FILLED, FILLED, SAME, SAME, SAME], {4, 5}),  # the same object at both ends
        ([SAME, FILLED, FILLED, OTHER, OTHER, OTHER], set()),  # the run switched to another object inside the gap
        (
            [SAME, FILLED, BOTH_HIDDEN, BOTH_HIDDEN, FILLED, SAME, SAME],
            {6, 3},
        ),  # the object passed behind a pillar and appears again on the far side
        ([SAME, FILLED, BOTH_HIDDEN, FILLED, OTHER, OTHER], {5}),  # another object appears on the far side
        ([SAME, FILLED, BOTH_HIDDEN, FILLED, BOTH_HIDDEN, SAME], {5}),  # a single mask in the middle verifies nothing
        ([SAME, WEAK, SAME, SAME, SAME], {4}),  # the forward score is low, and the backward score is higher
        ([SAME, WEAK_BOTH, SAME, SAME, SAME], set()),  # both scores are low: the forward mask stays
        ([SAME, FILLED, FILLED], {1, 2}),  # the past ends with the gap
        ([BACK_HIDDEN, FILLED, BACK_HIDDEN], set()),  # the run shows nothing on either side of the gap
        ([SAME, FILLED, BACK_HIDDEN, BACK_HIDDEN], {3}),  # the run ends at the far side without a contradiction
        ([SAME, SAME, OTHER, OTHER], set()),  # confident forward frames are never replaced
        ([SAME, FILLED, SAME, OTHER, OTHER], set()),  # most frames on the far side contradict the run
    ],
)
def test_gap_frames_accepts_verified_masks_only(cases: list[tuple[bool, float, float, float]], accepted: set[int]) -> None:
    """Each case is one way in which a run can pass a gap."""
    assert gap_frames(comparisons(*cases)) == accepted


@pytest.mark.parametrize(
    ("cases", "accepted"),
    [
        ([OTHER, OTHER, SAME, SAME, SAME, OTHER], {6, 5}),  # the forward masks are wrong back to the frames where both agree
        ([SAME, SAME, SAME], set()),  # the click only refined the mask
        ([FILLED, FILLED, BACK_HIDDEN, BACK_HIDDEN], {4, 3}),  # they never agree: cut where the sum of the scores is highest
        ([OTHER, SAME, OTHER, SAME, SAME, SAME], {6, 5, 4}),  # only agreement on consecutive frames counts
    ],
)
def test_corrected_frames_end_where_both_passes_agree(cases: list[tuple[bool, float, float, float]], accepted: set[int]) -> None:
    """A correction shows that earlier forward masks were wrong, but not since which frame."""
    assert corrected_frames(comparisons(*cases)) == accepted


def summary_of(scores: list[float], prompted: tuple[int, ...] = (0,)) -> TrackSummary:
    records = []
    for number, score in enumerate(scores):
        track = {"id": 1, "label": "cup", "state": "tracked", "score": score, "box": [0, 0, 1, 1] if score else None}
        records.append({"frame": number, "prompted": [1] if number in prompted else [], "tracks": [track]})
    return summarize_tracks(records)[1]


def test_run_starts_several_confident_frames_after_a_gap() -> None:
    """Right after a gap the occluder often still covers a part of the object."""
    assert summary_of([0.9, 0.9, 0.0, 0.2, *[0.9] * 9]).gaps == {3 + SETTLE_FRAMES: 2}


def test_run_starts_earlier_if_few_confident_frames_follow_a_gap() -> None:
    """The gap would otherwise have no run at all."""
    assert summary_of([0.9, 0.0, 0.9, 0.9, 0.0, 0.0, 0.9]).gaps == {3: 1, 6: 4}


def test_object_that_stays_lost_has_no_gap() -> None:
    """No later frame shows the object, so no run can start."""
    summary = summary_of([0.0, 0.9, 0.9, 0.0, 0.0], prompted=())
    assert summary.first == 1
    assert summary.gaps == {}


def test_prompted_frame_is_confident_at_any_score() -> None:
    """The user is more reliable than the score. A later prompt counts as a correction."""
    summary = summary_of([0.3, 0.9, 0.3, 0.9], prompted=(0, 2))
    assert summary.gaps == {}
    assert summary.corrections == [2]


def test_tentative_track_has_no_summary_unless_requested() -> None:
    """A false alarm of the detector stays tentative. A backward pass would extend it to all earlier frames."""
    track = {"id": 1, "label": "cup", "state": "tentative", "score": 0.9, "box": [0, 0, 1, 1]}
    records = [{"frame": number, "prompted": [], "tracks": [track]} for number in range(3)]
    assert summarize_tracks(records) == {}
    assert list(summarize_tracks(records, [1])) == [1]


def test_rle_iou_equals_the_iou_of_the_masks() -> None:
    """The merge compares masks without decoding them."""
    mask, other = np.zeros((5, 7), bool), np.zeros((5, 7), bool)
    mask[1:3, 1:5], other[1:3, 3:7] = True, True
    assert rle_iou(Rle.encode(mask), Rle.encode(other)) == pytest.approx(4 / 12)
