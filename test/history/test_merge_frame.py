# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The merging stage of a backward pass chooses one mask for each object, and lets no two objects share one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.history.merge_frame import Directions, Merged, merge_frame
from lang2segtrack_ros.history.records import Record
from lang2segtrack_ros.types.results import Source
from lang2segtrack_ros.types.rle import Rle, mask_box

SHAPE = (40, 100)


def record(track_id: int, x: int | None, score: float = 0.9, **changes: Any) -> Record:
    """Return the record of a square of 20 pixels at column x, or of a hidden object for None."""
    mask = np.zeros(SHAPE, bool)
    if x is not None:
        mask[10:30, x : x + 20] = True
    rle, box = Rle.encode(mask), mask_box(mask)
    encoded = {"size": list(SHAPE), "counts": rle.counts}
    shown = {"box": None if box is None else list(box), "score": score if box is not None else 0.0, "rle": encoded}
    return {"id": track_id, "state": "tracked", **shown, **changes}


def directions(forward: list[Record], backward: list[Record], **changes: Any) -> Directions:
    """Return a frame with these records."""
    ids = tuple(sorted({item["id"] for item in (*forward, *backward)}))
    by_id = ({item["id"]: item for item in items} for items in (forward, backward))
    return Directions(*by_id, **{"ids": ids, **changes})


def places(merged: dict[int, Merged]) -> dict[int, float | None]:
    """Return the column of each object, None for a hidden one."""
    return {key: None if item.record["box"] is None else item.record["box"][0] for key, item in merged.items()}


@pytest.mark.parametrize(
    ("changes", "place", "source"),
    [
        ({}, 0, Source.FORWARD),
        ({"accepted": frozenset({1})}, 50, Source.MERGED),
        ({"corrected": frozenset({1})}, 50, Source.MERGED),
        ({"before_first": frozenset({1})}, 50, Source.BACKWARD),
    ],
)
def test_direction_that_counts_is_chosen(changes: dict[str, Any], place: int, source: Source) -> None:
    merged = merge_frame(directions([record(1, 0)], [record(1, 50)], **changes))
    assert places(merged) == {1: place}
    assert merged[1].source is source


def test_object_of_no_direction_is_left_out() -> None:
    """Before its first frame, an object has a trace only as far as the backward pass went."""
    assert merge_frame(directions([], [], ids=(1,), before_first=frozenset({1}))) == {}
    assert merge_frame(directions([], [], ids=(1,))) == {}


@pytest.mark.parametrize(
    ("score", "backward", "place"), [(0.3, None, None), (0.3, 50, None), (0.3, 1, 0), (0.45, None, 0), (0.3, "no record", 0)]
)
def test_uncertain_forward_mask_needs_the_backward_pass(score: float, backward: int | str | None, place: int | None) -> None:
    """At the edge of a gap, the forward pass can show the object on something else, with a low score."""
    other = [] if isinstance(backward, str) else [record(1, backward)]
    assert places(merge_frame(directions([record(1, 0, score)], other))) == {1: place}
    assert places(merge_frame(directions([record(1, 0, score)], other, prompted=frozenset({1})))) == {1: 0}, "the user knows better"


def test_confident_forward_mask_keeps_its_pixels() -> None:
    """A backward mask on an object that the forward pass has there is wrong."""
    merged = merge_frame(directions([record(1, 0)], [record(2, 2)], before_first=frozenset({2})))
    assert places(merged) == {1: 0, 2: None}


def test_correction_takes_the_pixels_and_the_other_object_its_backward_mask() -> None:
    """The forward pass had swapped both ids until the user corrected one of them."""
    forward, backward = [record(1, 50), record(2, 0)], [record(1, 0), record(2, 50)]
    merged = merge_frame(directions(forward, backward, corrected=frozenset({1})))
    assert places(merged) == {1: 0, 2: 50}
    assert [merged[key].source for key in (1, 2)] == [Source.MERGED, Source.MERGED]


def test_object_without_a_free_mask_is_hidden() -> None:
    forward, backward = [record(1, 50), record(2, 0)], [record(1, 0), record(2, 1)]
    assert places(merge_frame(directions(forward, backward, corrected=frozenset({1})))) == {1: 0, 2: None}


def test_detected_backward_mask_is_stronger_than_another_one() -> None:
    backward = [record(1, 0), record(2, 3, detected=True)]
    assert places(merge_frame(directions([], backward, before_first=frozenset({1, 2})))) == {1: None, 2: 3}


def test_two_forward_masks_may_overlap() -> None:
    """The forward pass has decided on them with more evidence than one frame holds."""
    assert places(merge_frame(directions([record(1, 0), record(2, 3)], []))) == {1: 0, 2: 3}


def test_objects_that_are_not_refined_keep_their_pixels() -> None:
    merged = merge_frame(directions([record(1, 0)], [record(2, 2)], ids=(2,), before_first=frozenset({2})))
    assert places(merged) == {2: None}


@pytest.mark.parametrize(("x", "agreement", "confidence"), [(0, 1.0, 0.98), (50, 0.0, 0.45), (None, math.nan, 0.9)])
def test_agreement_raises_and_disagreement_lowers_confidence(x: int | None, agreement: float, confidence: float) -> None:
    merged = merge_frame(directions([record(1, 0)], [record(1, x, 0.8)]))[1]
    assert merged.agreement == pytest.approx(agreement, nan_ok=True)
    assert merged.confidence == pytest.approx(confidence)


def test_hidden_object_has_no_confidence() -> None:
    assert math.isnan(merge_frame(directions([record(1, None)], []))[1].confidence)
