# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity numbers of made-up runs whose outcome can be counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.identity import IdentityRecord, combine

pytest.importorskip("trackeval", reason="the benchmark's library")


def world(*places: int | None) -> NDArray[np.uint16]:
    """A picture in which object number n is a square at column places[n - 1], or not there."""
    picture = np.zeros((40, 200), np.uint16)
    for number, x in enumerate(places, start=1):
        if x is not None:
            picture[10:20, x : x + 10] = number
    return picture


def play(frames: int, truth: Callable[[int], NDArray[np.uint16]], tracks: Callable[[int], dict[int, int]]) -> IdentityRecord:
    """`tracks(t)` names for each track id the object it sits on (0: on nothing real)."""
    record = IdentityRecord()
    for t in range(frames):
        picture = truth(t)
        masks = {}
        for track, number in tracks(t).items():
            masks[track] = picture == number if number else np.pad(np.ones((8, 8), bool), ((30, 2), (180, 12)))
        record.add(picture, [1, 2], masks)
    return record


def test_two_tracks_that_stay_are_perfect() -> None:
    record = play(20, lambda t: world(10 + t, 100), lambda _: {7: 1, 9: 2})
    numbers = combine([record.evaluate()])
    assert numbers["IDF1"] == numbers["HOTA"] == 1.0
    assert numbers["id_switches"] == 0
    assert record.first_match() == {1: 0, 2: 0}
    assert record.false_tracks() == 0


def test_a_swap_is_two_switches_and_halves_idf1() -> None:
    record = play(20, lambda _: world(10, 100), lambda t: {7: 1, 9: 2} if t < 10 else {7: 2, 9: 1})
    numbers = combine([record.evaluate()])
    assert numbers["id_switches"] == 2
    assert numbers["IDF1"] == pytest.approx(0.5)


def test_a_track_on_nothing_is_false() -> None:
    record = play(5, lambda _: world(10, 100), lambda _: {1: 1, 2: 2, 3: 0})
    assert record.false_tracks() == 1


def test_a_late_track_waits() -> None:
    record = play(12, lambda t: world(10, 100 if t >= 4 else None), lambda t: {1: 1, **({2: 2} if t >= 9 else {})})
    assert record.first_match() == {1: 0, 2: 5}


@pytest.mark.parametrize(("new_id", "same"), [(1, True), (5, False)])
def test_a_return_under_the_old_or_a_new_id(new_id: int, same: bool) -> None:
    """Seen for 10 frames, gone for 8, back for 30; found again 4 frames after its return."""
    record = play(
        48,
        lambda t: world(10 if t < 10 or t >= 18 else None, 100),
        lambda t: {2: 2, **({1: 1} if t < 10 else {new_id: 1} if t >= 22 else {})},
    )
    assert record.returns(1) == [(True, same, 4)]
    assert record.returns(2) == []


def test_what_never_comes_back_is_no_return() -> None:
    record = play(30, lambda t: world(10 if t < 10 else None, 100), lambda t: {1: 1, 2: 2} if t < 10 else {2: 2})
    assert record.returns(1) == []
