# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""An object that was hidden, cut away or changed must resemble its appearance before it is shown again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.lifecycle import NS
from lang2segtrack_ros.identity.look_alikes import Sample
from lang2segtrack_ros.identity.track_state import Tracks, TrackState, Verification
from lang2segtrack_ros.identity.verification import VerificationOptions, count_unseen, differs, require_reid, resembles, update_appearance
from lang2segtrack_ros.types.results import Track
from test.identity.synthetic import BLUE, PHRASES, RED, REDDISH, Color, appearance, by_id, detected, picture, prompted, track, unverified
from test.session.stages.plain import plain

DEFAULT = VerificationOptions()


def frame(
    states: Tracks, tracks: Sequence[Track], color: NDArray[np.uint8], elapsed_s: float, options: VerificationOptions = DEFAULT
) -> dict[int, TrackState]:
    """Process a finished frame as a session does."""
    counted = {item.id: count_unseen(states[item.id], item.box is not None, round(elapsed_s * NS), options) for item in tracks}
    return update_appearance({**states, **counted}, [item for item in tracks if item.box is not None], color, options, {})


def seen(options: VerificationOptions = DEFAULT) -> dict[int, TrackState]:
    """Return a red object after one visible frame."""
    return frame(by_id(detected(1)), [track(1)], picture(RED), 0.1, options)


@pytest.mark.parametrize(("color", "passes"), [(RED, True), (BLUE, False)])
def test_appearance_reidentifies_an_object_after_absence(color: Color, passes: bool) -> None:
    states = seen()
    for _ in range(11):
        states = frame(states, [track(1, None)], picture(RED), 0.1)
    assert unverified(states) == [1]
    assert resembles(track(1), states[1], Sample(appearance(color)), DEFAULT) == passes


def test_short_absence_needs_no_reid() -> None:
    states = seen()
    states = frame(states, [track(1, None)], picture(RED), 0.5)
    states = frame(states, [track(1)], picture(RED), 0.5)
    states = frame(states, [track(1, None)], picture(RED), 0.6)
    assert unverified(states) == []


def test_reid_counts_time_instead_of_frames() -> None:
    states = seen()
    for _ in range(29):
        states = frame(states, [track(1, None)], picture(RED), 1 / 30)
    assert unverified(states) == []
    assert unverified(frame(seen(), [track(1, None)], picture(RED), 1.0)) == [1]


def test_object_without_appearance_passes_reid() -> None:
    """Uncertain masks do not update the appearance. Without an appearance, the object would otherwise stay hidden forever."""
    states = frame(by_id(detected(1)), [track(1, predicted_iou=0.2)], picture(RED), 0.1)
    assert states[1].appearance is None
    assert resembles(track(1), states[1], Sample(appearance(BLUE)), DEFAULT)


def test_object_in_need_of_reid_does_not_update_its_appearance() -> None:
    states: Tracks = require_reid(seen(), (), DEFAULT)
    for _ in range(100):
        states = frame(states, [track(1)], picture(BLUE), 0.1)
    assert not resembles(track(1), states[1], Sample(appearance(BLUE)), DEFAULT)
    assert resembles(track(1), states[1], Sample(appearance(RED)), DEFAULT)


def test_reid_can_be_disabled() -> None:
    options = VerificationOptions(reid_after_s=0.0)
    states: Tracks = require_reid(seen(options), PHRASES, options)
    states = frame(states, [track(1, None)], picture(RED), 100.0, options)
    for _ in range(5):
        states = frame(states, [track(1)], picture(BLUE), 0.1, options)
    assert unverified(states) == []


def test_threshold_of_zero_accepts_every_match() -> None:
    assert resembles(track(1), seen()[1], Sample(appearance(BLUE)), VerificationOptions(reid_threshold=0.0))


def test_cut_requires_a_detection_only_of_objects_that_the_detector_looks_for() -> None:
    """Nothing else could find the other objects again."""
    states = by_id(detected(1), detected(2, "blue star"), prompted(3, "red circle"))
    required = require_reid(states, PHRASES, DEFAULT)
    assert [state.verification for state in required.values()] == [
        Verification.NEEDS_REDETECTION,
        Verification.NEEDS_CLOSE_REID,
        Verification.NEEDS_CLOSE_REID,
    ]


@pytest.mark.parametrize(
    ("verification", "height", "passes"),
    [
        (Verification.NEEDS_CLOSE_REID, 10, True),
        (Verification.NEEDS_CLOSE_REID, 30, False),
        (Verification.NEEDS_REID, 30, True),
    ],
)
def test_another_shape_of_the_same_color_fails_after_a_cut_only(verification: Verification, height: int, passes: bool) -> None:
    """Without a cut, the view of the object may change while it is hidden. The model is that of a square of 10 x 10 pixels."""
    state = replace(seen()[1], verification=verification)
    mask = np.zeros((40, 120), bool)
    mask[5 : 5 + height, 10:20] = True
    tall = replace(track(1), mask=mask, box=(10.0, 5.0, 20.0, 5.0 + height))
    assert resembles(tall, state, Sample(appearance(RED)), DEFAULT) == passes


def test_absence_keeps_the_need_of_a_detection() -> None:
    """The weaker need of re-identification must not replace the stronger one."""
    state = replace(detected(1), verification=Verification.NEEDS_REDETECTION)
    assert count_unseen(state, False, 5 * NS, DEFAULT).verification is Verification.NEEDS_REDETECTION
    assert plain(state.requiring(Verification.NEEDS_REID)) == plain(state)


def test_verified_object_counts_neither_absence_nor_misses() -> None:
    state = replace(detected(1), verification=Verification.NEEDS_REDETECTION, unseen_ns=7, misses=2)
    verified = state.verified()
    assert (verified.verification, verified.unseen_ns, verified.misses) == (Verification.VERIFIED, 0, 0)


def test_track_on_another_color_needs_reid() -> None:
    """One deviating frame, such as a flash or a hand, is tolerated, but not three in a row. The stored appearance stays unchanged."""
    states = seen()
    for color in (BLUE, BLUE, RED, BLUE, BLUE):
        states = frame(states, [track(1)], picture(color), 0.1)
    assert unverified(states) == []
    states = frame(states, [track(1)], picture(BLUE), 0.1)
    assert unverified(states) == [1]
    assert not resembles(track(1), states[1], Sample(appearance(BLUE)), DEFAULT)
    assert resembles(track(1), states[1], Sample(appearance(RED)), DEFAULT)


@pytest.mark.parametrize(("color", "different"), [(RED, False), (REDDISH, False), (BLUE, True)])
def test_mask_differs_only_with_certainty(color: Color, different: bool) -> None:
    """Between similar and different lies a margin, so that a shadow makes no stray track."""
    assert differs(track(1), seen()[1], picture(color), DEFAULT) == different


def test_tracks_without_an_object_or_with_a_tiny_mask_change_nothing() -> None:
    """A track may have ended since its frame, and a mask of a few pixels has no appearance."""
    mask = np.zeros((40, 120), bool)
    mask[5:7, 10:12] = True
    tiny = replace(track(1), mask=mask, box=(10.0, 5.0, 12.0, 7.0))
    states = seen()
    assert update_appearance(states, [track(9), tiny], picture(RED), DEFAULT, {}) == states
