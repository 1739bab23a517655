# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each check of the self-check on observations that pass, and on observations that must fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.evaluation import self_check
from lang2segtrack_ros.evaluation.self_check import BoxMatch, Check, Observations, Sighting
from lang2segtrack_ros.evaluation.self_check_report import check_table, describe_result
from lang2segtrack_ros.types.rle import Rle

FRAMES = 10


def sighting(frame: int, track_id: int = 1, label: str = "cup", score: float = 0.9) -> Sighting:
    """Return an object that covers columns 2 to 5 and rows 4 to 9 of a picture of 20 x 20 pixels."""
    mask = np.zeros((20, 20), bool)
    mask[4:10, 2:6] = True
    return Sighting(frame, track_id, label, score, (2, 4, 6, 10), Rle.encode(mask))


GOOD = Observations(
    ("cup",),
    FRAMES,
    [sighting(frame) for frame in range(FRAMES)],
    [BoxMatch(0.98, 0.9)],
    [0.5, 12.0, 11.0],
    {1: [0.95, 0.9]},
)


def test_all_checks_pass_for_a_good_run() -> None:
    checks = self_check.run_checks(GOOD)
    assert [check.name for check in checks if not check.passed] == []
    assert describe_result(GOOD, checks)["passed"] is True


def test_no_check_passes_without_an_object() -> None:
    """Random weights may find nothing. A check that measured nothing must not pass; only the speed is known."""
    nothing = replace(GOOD, sightings=[], matches=[], agreements={})
    checks = self_check.run_checks(nothing)
    assert [check.name for check in checks if check.passed] == ["images per second (median)"]
    assert "nothing to measure" in check_table(checks)
    values = {check["name"]: check["value"] for check in describe_result(nothing, checks)["checks"]}
    assert values['additional ids: "cup"'] is None, "JSON has no NaN"


@pytest.mark.parametrize(("seen", "passed"), [(5, True), (4, False)])
def test_phrase_must_be_visible_on_half_of_the_images(seen: int, passed: bool) -> None:
    check = self_check.check_phrase(replace(GOOD, sightings=[sighting(frame) for frame in range(seen)]), "cup")
    assert check.value == seen / FRAMES
    assert check.passed is passed


def test_other_phrase_does_not_count() -> None:
    """Two objects of one phrase must not hide that the other phrase was never found."""
    both = replace(GOOD, phrases=("cup", "plate"))
    assert self_check.check_phrase(both, "plate").value == 0
    assert not self_check.check_ids(both, "plate").passed


def test_two_objects_at_once_may_have_two_ids() -> None:
    two = [sighting(frame, track_id) for frame in range(FRAMES) for track_id in (1, 2)]
    assert self_check.check_ids(replace(GOOD, sightings=two), "cup") == Check('additional ids: "cup"', 0, -math.inf, 0)


def test_new_id_of_a_known_object_fails() -> None:
    switched = [sighting(frame, 1 if frame < 5 else 2) for frame in range(FRAMES)]
    check = self_check.check_ids(replace(GOOD, sightings=switched), "cup")
    assert check.value == 1
    assert not check.passed


@pytest.mark.parametrize(
    ("check", "change"),
    [
        (self_check.check_inside, {"matches": [BoxMatch(0.98, 0.9), BoxMatch(0.5, 0.9)]}),
        (self_check.check_boxes, {"matches": [BoxMatch(1.0, 0.01)]}),  # a mask of few pixels lies inside every box
        (self_check.check_scores, {"sightings": [sighting(0, score=0.3)]}),
        (self_check.check_scores, {"sightings": [sighting(0, score=1.5)]}),  # no score: the network is broken
        (self_check.check_scores, {"sightings": [sighting(0), sighting(1, score=math.nan)]}),
        (self_check.check_agreement, {"agreements": {1: [1.0] * 90, 2: [0.5, 0.5]}}),  # a short trace has the weight of a long one
        (self_check.check_speed, {"fps": [0.001, 0.002, 50.0]}),
        (self_check.check_speed, {"fps": [0.4], "device_type": "cuda"}),  # normal on a CPU, but not on a GPU
    ],
)
def test_value_outside_its_limits_fails(check: Callable[[Observations], Check], change: dict[str, object]) -> None:
    assert check(GOOD).passed
    assert not check(replace(GOOD, **change)).passed  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], None),
        ([(2.0, 4.0, 6.0, 10.0)], BoxMatch(1.0, 1.0)),
        ([(15.0, 15.0, 19.0, 19.0), (2.0, 4.0, 6.0, 7.0)], BoxMatch(0.5, 0.5)),  # the box that overlaps counts
        ([(-9.0, -9.0, -1.0, -1.0)], BoxMatch(0.0, 0.0)),  # negative edges must not count from the other side of the picture
        ([(1.5, 3.5, 40.0, 40.0)], BoxMatch(1.0, 24 / (38.5 * 36.5))),
    ],
)
def test_mask_is_compared_with_the_box_that_overlaps_it(boxes: list[tuple[float, float, float, float]], expected: BoxMatch | None) -> None:
    assert self_check.match_boxes(sighting(0), boxes) == expected


def test_limits_are_written_as_words() -> None:
    limits = [Check("", 0, 0.5, math.inf).limits, Check("", 0, -math.inf, 0).limits, Check("", 0, 0.5, 1).limits]
    assert limits == ["at least 0.5", "at most 0", "0.5 to 1"]


def test_tracks_are_summarized() -> None:
    (row,) = self_check.summarize_tracks(GOOD)
    assert row == {"id": 1, "label": "cup", "first_frame": 0, "last_frame": 9, "frames": 10, "mean_score": 0.9, "agreement": 0.925}
