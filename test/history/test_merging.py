# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The rule by which a backward mask is believed, case by case; sights are written newest first, as a sweep meets them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lang2segtrack_ros.history.merging import SETTLED, Outline, PassComparison, corrected_frames, gap_frames, outlines, rle_iou
from lang2segtrack_ros.types.rle import Rle

# What both directions say of a frame.
SAME, OTHER = (True, 0.9, 0.9, 0.8), (True, 0.9, 0.9, 0.1)
FILLED, BOTH_HIDDEN = (False, 0.0, 0.8, math.nan), (False, 0.0, 0.0, math.nan)
BACK_HIDDEN, WEAK, WEAK_BOTH = (True, 0.9, 0.0, math.nan), (False, 0.3, 0.8, 0.2), (False, 0.45, 0.4, 0.2)


def comparisons(*said: tuple[bool, float, float, float]) -> list[PassComparison]:
    return [PassComparison(len(said) - place, *values) for place, values in enumerate(said)]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ([SAME, FILLED, FILLED, SAME, SAME, SAME], {4, 5}),  # the same object at both ends
        ([SAME, FILLED, FILLED, OTHER, OTHER, OTHER], set()),  # it slipped onto something else inside the gap
        ([SAME, FILLED, BOTH_HIDDEN, BOTH_HIDDEN, FILLED, SAME, SAME], {6, 3}),  # behind a pillar, and out again on the far side
        ([SAME, FILLED, BOTH_HIDDEN, FILLED, OTHER, OTHER], {5}),  # what appears on the far side is another one
        ([SAME, FILLED, BOTH_HIDDEN, FILLED, BOTH_HIDDEN, SAME], {5}),  # a flicker in the middle proves nothing
        ([SAME, WEAK, SAME, SAME, SAME], {4}),  # the forward mask was poor, the backward one is surer
        ([SAME, WEAK_BOTH, SAME, SAME, SAME], set()),  # neither is sure: the forward one stays
        ([SAME, FILLED, FILLED], {1, 2}),  # the past ends with the gap
        ([BACK_HIDDEN, FILLED, BACK_HIDDEN], set()),  # it has no sure start and no proof
        ([SAME, FILLED, BACK_HIDDEN, BACK_HIDDEN], {3}),  # it faded out at the far side without contradicting
        ([SAME, SAME, OTHER, OTHER], set()),  # frames of which the forward pass is sure are never replaced
        ([SAME, FILLED, SAME, OTHER, OTHER], set()),  # on the far side most frames speak against it
    ],
)
def test_gap_frames(said: list[tuple[bool, float, float, float]], taken: set[int]) -> None:
    assert gap_frames(comparisons(*said)) == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ([OTHER, OTHER, SAME, SAME, SAME, OTHER], {6, 5}),  # wrong down to where both agree again
        ([SAME, SAME, SAME], set()),  # a click that only made the outline finer
        ([FILLED, FILLED, BACK_HIDDEN, BACK_HIDDEN], {4, 3}),  # never agreed: cut where the scores sum up highest
        ([OTHER, SAME, OTHER, SAME, SAME, SAME], {6, 5, 4}),  # agreement must last to count
    ],
)
def test_corrected_frames(said: list[tuple[bool, float, float, float]], taken: set[int]) -> None:
    assert corrected_frames(comparisons(*said)) == taken


def outline_of(scores: list[float], prompted: tuple[int, ...] = (0,)) -> Outline:
    records = []
    for number, score in enumerate(scores):
        track = {"id": 1, "label": "cup", "state": "tracked", "score": score, "box": [0, 0, 1, 1] if score else None}
        records.append({"frame": number, "prompted": [1] if number in prompted else [], "tracks": [track]})
    return outlines(records)[1]


def test_a_gap_is_entered_when_the_object_has_settled() -> None:
    """Right after a gap the object is often cut by what hid it."""
    assert outline_of([0.9, 0.9, 0.0, 0.2, *[0.9] * 9]).gaps == {3 + SETTLED: 2}


def test_a_gap_is_entered_early_when_it_must() -> None:
    assert outline_of([0.9, 0.0, 0.9, 0.9, 0.0, 0.0, 0.9]).gaps == {3: 1, 6: 4}


def test_an_object_that_stays_lost_has_no_gap_to_fill() -> None:
    outline = outline_of([0.0, 0.9, 0.9, 0.0, 0.0], prompted=())
    assert outline.first == 1
    assert outline.gaps == {}


def test_prompts_are_sure_and_corrections_noted() -> None:
    outline = outline_of([0.3, 0.9, 0.3, 0.9], prompted=(0, 2))
    assert outline.gaps == {}
    assert outline.corrections == [2]


def test_false_alarms_have_no_past() -> None:
    """What a detector saw once and never again stays tentative: nobody wants to see it on a hundred earlier frames."""
    track = {"id": 1, "label": "cup", "state": "tentative", "score": 0.9, "box": [0, 0, 1, 1]}
    records = [{"frame": number, "prompted": [], "tracks": [track]} for number in range(3)]
    assert outlines(records) == {}
    assert list(outlines(records, [1])) == [1]


def test_iou_of_encoded_masks() -> None:
    mask, other = np.zeros((5, 7), bool), np.zeros((5, 7), bool)
    mask[1:3, 1:5], other[1:3, 3:7] = True, True
    assert rle_iou(Rle.encode(mask), Rle.encode(other)) == pytest.approx(4 / 12)
