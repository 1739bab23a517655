# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of a recording appear from their first detection on, if they are confirmed later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from lang2segtrack_ros.recordings.fill_back import MAX_DELAY, fill_back
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus

TENTATIVE, TRACKED, OCCLUDED, REMOVED = TrackStatus.TENTATIVE, TrackStatus.TRACKED, TrackStatus.OCCLUDED, TrackStatus.REMOVED
States = dict[int, TrackStatus]


def frame(index: int, states: States, hidden: Sequence[int] = ()) -> FrameResult:
    def track(track_id: int, state: TrackStatus) -> Track:
        box = None if track_id in hidden else (0.0, 0.0, 2.0, 2.0)
        return Track(track_id, "cup", state, 0.9, box, np.ones((2, 2), bool), 0.9, 5.0, 1.0, 0)

    return FrameResult(index, index, 2, 2, tuple(track(*item) for item in states.items()))


def states_of(frames: Sequence[FrameResult]) -> list[States]:
    return [{track.id: track.state for track in result.tracks} for _, result in fill_back(frames, lambda item: item)]


def test_confirmed_object_is_shown_from_its_first_frame_on() -> None:
    frames = [frame(0, {1: TRACKED, 2: TENTATIVE}), frame(1, {1: TRACKED, 2: TENTATIVE}, hidden=[2]), frame(2, {1: TRACKED, 2: TRACKED})]
    assert states_of(frames) == [{1: TRACKED, 2: TRACKED}, {1: TRACKED, 2: OCCLUDED}, {1: TRACKED, 2: TRACKED}]


def test_false_alarm_stays_tentative() -> None:
    """An object that was never confirmed must not be announced afterwards."""
    frames = [frame(0, {1: TENTATIVE}), frame(1, {1: REMOVED}), frame(2, {})]
    assert states_of(frames) == [{1: TENTATIVE}, {1: REMOVED}, {}]


def test_object_that_stays_tentative_delays_no_result_beyond_the_limit() -> None:
    """The memory of a run must stay bounded, and the order of the results must stay that of the images."""
    given = 0

    def frames() -> Iterator[FrameResult]:
        nonlocal given
        for index in range(3 * MAX_DELAY):
            given += 1
            yield frame(index, {1: TENTATIVE})

    order = []
    for number, (_, result) in enumerate(fill_back(frames(), lambda item: item)):
        assert given - number <= MAX_DELAY + 1
        order.append(result.index)
    assert order == list(range(3 * MAX_DELAY))


def test_waiting_results_come_before_a_failure() -> None:
    """A source that breaks must not cost the images before it."""

    def frames() -> Iterator[FrameResult]:
        yield frame(0, {1: TENTATIVE})
        yield frame(1, {1: TENTATIVE})
        raise OSError("unreadable")

    filled = fill_back(frames(), lambda item: item)
    assert [next(filled)[0].index, next(filled)[0].index] == [0, 1]
    with pytest.raises(OSError, match="unreadable"):
        next(filled)
