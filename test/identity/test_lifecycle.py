# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The time without visibility changes the state of a track from tracked to removed."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.identity.lifecycle import Lifecycle
from lang2segtrack_ros.types.results import TrackStatus
from test.io.test_rendering import make_track

VISIBLE = make_track(np.ones((4, 4), bool))
HIDDEN = make_track(np.zeros((4, 4), bool))


def states(lifecycle: Lifecycle, visibility: list[bool], step_s: float = 1.0) -> list[str]:
    return [lifecycle.update([VISIBLE if visible else HIDDEN], step_s)[0].state.name for visible in visibility]


def test_track_becomes_occluded_then_lost_then_tracked() -> None:
    assert states(Lifecycle(lost_after_s=2.0), [True, False, False, False, True, False]) == [
        "TRACKED",
        "OCCLUDED",
        "LOST",
        "LOST",
        "TRACKED",
        "OCCLUDED",
    ]


def test_removal_is_off_by_default_and_deletes_the_state() -> None:
    assert states(Lifecycle(lost_after_s=1.0), [False] * 100)[-1] == "LOST"
    lifecycle = Lifecycle(lost_after_s=1.0, remove_after_s=3.0)
    assert states(lifecycle, [True, False, False, False, False]) == ["TRACKED", "LOST", "LOST", "REMOVED", "LOST"]


def test_state_depends_on_time_instead_of_frames() -> None:
    assert states(Lifecycle(lost_after_s=2.0), [False] * 30, 1 / 30)[-1] == "OCCLUDED"


def test_reset_restarts_the_time_of_all_tracks() -> None:
    lifecycle = Lifecycle(lost_after_s=2.0)
    states(lifecycle, [False, False])
    lifecycle.reset()
    assert lifecycle.update([HIDDEN], 1.0)[0].state is TrackStatus.OCCLUDED
