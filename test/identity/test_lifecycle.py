# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""From tracked to removed, by time unseen."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.identity.lifecycle import Lifecycle
from lang2segtrack_ros.types.results import TrackStatus
from test.io.test_rendering import make_track

SEEN = make_track(np.ones((4, 4), bool))
HIDDEN = make_track(np.zeros((4, 4), bool))


def states(cycle: Lifecycle, seen: list[bool], step_s: float = 1.0) -> list[str]:
    return [cycle.update([SEEN if visible else HIDDEN], step_s)[0].state.name for visible in seen]


def test_occluded_then_lost_then_back() -> None:
    assert states(Lifecycle(lost_after_s=2.0), [True, False, False, False, True, False]) == [
        "TRACKED",
        "OCCLUDED",
        "LOST",
        "LOST",
        "TRACKED",
        "OCCLUDED",
    ]


def test_removal_is_off_by_default_and_forgets_the_object() -> None:
    assert states(Lifecycle(lost_after_s=1.0), [False] * 100)[-1] == "LOST"
    cycle = Lifecycle(lost_after_s=1.0, remove_after_s=3.0)
    assert states(cycle, [True, False, False, False, False]) == ["TRACKED", "LOST", "LOST", "REMOVED", "LOST"]


def test_time_counts_not_frames() -> None:
    assert states(Lifecycle(lost_after_s=2.0), [False] * 30, 1 / 30)[-1] == "OCCLUDED"


def test_reset() -> None:
    cycle = Lifecycle(lost_after_s=2.0)
    states(cycle, [False, False])
    cycle.reset()
    assert cycle.update([HIDDEN], 1.0)[0].state is TrackStatus.OCCLUDED
