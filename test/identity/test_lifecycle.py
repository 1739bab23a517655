# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The time without visibility changes the state of a track from tracked to removed."""

from __future__ import annotations

from lang2segtrack_ros.identity.lifecycle import NS, LifecycleOptions, track_status
from lang2segtrack_ros.identity.verification import VerificationOptions, count_unseen
from test.identity.synthetic import prompted


def states(options: LifecycleOptions, visibility: list[bool], step_s: float = 1.0) -> list[str]:
    """Return the state on each of several frames."""
    state, names = prompted(1), []
    for visible in visibility:
        state = count_unseen(state, visible, round(step_s * NS), VerificationOptions())
        names.append(track_status(visible, state.unseen_ns, options).name)
    return names


def test_track_becomes_occluded_then_lost_then_tracked() -> None:
    assert states(LifecycleOptions(lost_after_s=2.0), [True, False, False, False, True, False]) == [
        "TRACKED",
        "OCCLUDED",
        "LOST",
        "LOST",
        "TRACKED",
        "OCCLUDED",
    ]


def test_removal_is_off_by_default() -> None:
    assert states(LifecycleOptions(lost_after_s=1.0), [False] * 100)[-1] == "LOST"
    options = LifecycleOptions(lost_after_s=1.0, remove_after_s=3.0)
    assert states(options, [True, False, False, False]) == ["TRACKED", "LOST", "LOST", "REMOVED"]


def test_state_depends_on_time_instead_of_frames() -> None:
    assert states(LifecycleOptions(lost_after_s=2.0), [False] * 30, 1 / 30)[-1] == "OCCLUDED"


def test_verification_restarts_the_time() -> None:
    """A prompt or a detection has given the position of the object."""
    options = LifecycleOptions(lost_after_s=2.0)
    state = count_unseen(prompted(1), False, 5 * NS, VerificationOptions())
    assert track_status(False, state.unseen_ns, options).name == "LOST"
    assert track_status(False, state.verified().unseen_ns, options).name == "OCCLUDED"
