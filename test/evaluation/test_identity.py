# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity metrics of synthetic runs that can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine

pytest.importorskip("trackeval", reason="the benchmark's library")


def draw_world(*columns: int | None) -> NDArray[np.uint16]:
    """Return an image in which object n is a square at column columns[n - 1]; None omits it."""
    picture = np.zeros((40, 200), np.uint16)
    for number, x in enumerate(columns, start=1):
        if x is not None:
            picture[10:20, x : x + 10] = number
    return picture


def record_run(frames: int, truth: Callable[[int], NDArray[np.uint16]], tracks: Callable[[int], dict[int, int]]) -> IdentityRecord:
    """Record a run. `tracks(t)` maps each track id to the object it covers; 0 covers background."""
    record = IdentityRecord()
    for t in range(frames):
        picture = truth(t)
        masks = {}
        for track, number in tracks(t).items():
            masks[track] = picture == number if number else np.pad(np.ones((8, 8), bool), ((30, 2), (180, 12)))
        record.add(picture, [1, 2], masks)
    return record


def test_two_stable_tracks_are_perfect() -> None:
    record = record_run(20, lambda t: draw_world(10 + t, 100), lambda _: {7: 1, 9: 2})
    numbers = combine([record.evaluate()])
    assert numbers["IDF1"] == numbers["HOTA"] == 1.0
    assert numbers["id_switches"] == 0
    assert record.frames_to_first_match() == {1: 0, 2: 0}
    assert record.false_tracks() == set()


def test_swap_counts_as_two_switches_and_halves_idf1() -> None:
    record = record_run(20, lambda _: draw_world(10, 100), lambda t: {7: 1, 9: 2} if t < 10 else {7: 2, 9: 1})
    numbers = combine([record.evaluate()])
    assert numbers["id_switches"] == 2
    assert numbers["IDF1"] == pytest.approx(0.5)


def test_track_without_an_object_is_false() -> None:
    record = record_run(5, lambda _: draw_world(10, 100), lambda _: {1: 1, 2: 2, 3: 0})
    assert record.false_tracks() == {3}


def test_late_track_has_a_delay() -> None:
    record = record_run(12, lambda t: draw_world(10, 100 if t >= 4 else None), lambda t: {1: 1, **({2: 2} if t >= 9 else {})})
    assert record.frames_to_first_match() == {1: 0, 2: 5}


def track_after_return(later_ids: Callable[[int], int]) -> IdentityRecord:
    """Record an object that is visible for 10 frames, absent for 8 and visible for 30. Its track starts 4 frames after its return.

    Args:
        later_ids: function from the frame to the id of the track after the return.
    """
    return record_run(
        48,
        lambda t: draw_world(10 if t < 10 or t >= 18 else None, 100),
        lambda t: {2: 2, **({1: 1} if t < 10 else {later_ids(t): 1} if t >= 22 else {})},
    )


@pytest.mark.parametrize(("new_id", "has_old_id"), [(1, True), (5, False)])
def test_reappearance_reports_delay_and_whether_the_id_is_kept(new_id: int, has_old_id: bool) -> None:
    record = track_after_return(lambda _: new_id)
    assert record.reappearances(1) == [(True, has_old_id, 4)]
    assert record.reappearances(2) == []


@pytest.mark.parametrize(("frame", "has_old_id"), [(32, True), (33, False)])
def test_old_id_must_return_within_15_frames(frame: int, has_old_id: bool) -> None:
    """Another track holds the object from its return, on frame 18, until the old id takes over."""
    record = track_after_return(lambda t: 1 if t >= frame else 5)
    assert record.reappearances(1) == [(True, has_old_id, 4)]


def test_object_that_stays_away_has_no_reappearance() -> None:
    record = record_run(30, lambda t: draw_world(10 if t < 10 else None, 100), lambda t: {1: 1, 2: 2} if t < 10 else {2: 2})
    assert record.reappearances(1) == []
