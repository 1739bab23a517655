# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The detector confirms objects, removes false alarms, and requires verification of objects that it misses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from lang2segtrack_ros.identity.confirmation import ConfirmationOptions, Hits, count_hits, is_sure, unconfirmable, unconfirmed_labels
from lang2segtrack_ros.identity.track_state import Tracks, TrackState, Verification
from lang2segtrack_ros.types.results import Track
from test.identity.synthetic import PHRASES, by_id, detected, prompted, track, unverified
from test.session.stages.plain import plain

DEFAULT = ConfirmationOptions()


def detect(
    states: Tracks, hit: Collection[int], item: Track, phrases: Collection[str] = PHRASES, options: ConfirmationOptions = DEFAULT
) -> tuple[dict[int, TrackState], list[int]]:
    """Count one detection run on an image with one track. The detections in `hit` have the names of their tracks."""
    return count_hits(states, Hits(frozenset(hit), frozenset(hit), frozenset()), [item], phrases, options)


def test_second_detection_confirms_an_object() -> None:
    states, false_alarms = detect(by_id(detected(1)), {1}, track(1))
    assert false_alarms == []
    assert states[1].confirmed
    assert states[1].hits == 2


def test_min_hits_counts_the_detection_that_started_the_object() -> None:
    options = ConfirmationOptions(min_hits=3)
    states, _ = detect(by_id(detected(1)), {1}, track(1), options=options)
    assert not states[1].confirmed
    states, _ = detect(states, {1}, track(1), options=options)
    assert states[1].confirmed


def test_sure_detection_confirms_an_object_at_once() -> None:
    states, _ = count_hits(by_id(detected(1)), Hits(frozenset({1}), frozenset({1}), frozenset({1})), [track(1)], PHRASES, DEFAULT)
    assert states[1].confirmed


def test_detection_with_another_name_verifies_but_does_not_confirm() -> None:
    """A wrong name on a real object is detected again and again. The object exists, but its name is not confirmed."""
    states: Tracks = by_id(replace(detected(1), misses=2, verification=Verification.NEEDS_REID))
    for _ in range(5):
        states, false_alarms = count_hits(states, Hits(frozenset({1}), frozenset(), frozenset()), [track(1)], PHRASES, DEFAULT)
        assert false_alarms == []
    assert plain(states) == plain(by_id(detected(1)))


@pytest.mark.parametrize(("score", "ratio", "sure"), [(0.61, 1.5, True), (0.59, 1.5, False), (1.0, 0.0, False), (0.4, 1.0, True)])
def test_score_of_a_sure_detection_is_relative_to_the_threshold_of_the_detector(score: float, ratio: float, sure: bool) -> None:
    """A prompt may lower its own threshold. The certainty of the detector stays the same. A ratio of 0 disables the rule."""
    assert is_sure(score, 0.4, ConfirmationOptions(confirm_score_ratio=ratio)) == sure


def test_object_of_a_user_counts_no_missed_detections() -> None:
    """Detections of its name must neither remove it nor hide it."""
    states: Tracks = by_id(prompted(7))
    for _ in range(20):
        states, false_alarms = detect(states, set(), track(7, label="mine"), ("mine",))
        assert false_alarms == []
    assert plain(states) == plain(by_id(prompted(7)))


def test_tentative_object_without_further_detections_is_a_false_alarm() -> None:
    states: Tracks = by_id(detected(1))
    for _ in range(2):  # a detector that misses one of two objects of a label may miss it twice
        states, false_alarms = detect(states, set(), track(1))
        assert false_alarms == []
    _, false_alarms = detect(states, set(), track(1))
    assert false_alarms == [1]


def test_hidden_tentative_object_is_a_false_alarm_too() -> None:
    """A false alarm often has no mask after a few frames. It must not wait for its removal forever."""
    states: Tracks = by_id(detected(1))
    for _ in range(3):
        states, false_alarms = detect(states, set(), track(1, None))
    assert false_alarms == [1]


def test_detections_of_other_phrases_count_no_misses() -> None:
    """A second text prompt must not remove the objects of the first one."""
    states: Tracks = by_id(detected(1))
    for _ in range(20):
        states, false_alarms = detect(states, set(), track(1), ("blue star",))
        assert false_alarms == []
    assert plain(states) == plain(by_id(detected(1)))


def test_missed_detections_of_a_visible_object_require_reid() -> None:
    options = ConfirmationOptions(max_misses=3)
    states, _ = detect(by_id(detected(1)), {1}, track(1), options=options)
    for _ in range(2):
        states, _ = detect(states, set(), track(1), options=options)
    assert unverified(states) == []
    states, _ = detect(states, set(), track(1), options=options)
    assert states[1].verification is Verification.NEEDS_REID
    assert states[1].misses == 0, "the count starts again"


def test_max_misses_of_zero_disables_the_requirement() -> None:
    states: Tracks = by_id(detected(1, confirmed=True))
    for _ in range(50):
        states, false_alarms = detect(states, set(), track(1), options=ConfirmationOptions(max_misses=0))
        assert false_alarms == []
    assert unverified(states) == []


def test_hidden_object_counts_no_misses() -> None:
    options = ConfirmationOptions(max_misses=2)
    states, _ = detect(by_id(detected(1)), {1}, track(1), options=options)
    for _ in range(5):
        states, _ = detect(states, set(), track(1, None), options=options)
    assert unverified(states) == []


@pytest.mark.parametrize("verification", list(Verification))
def test_detection_verifies_an_object(verification: Verification) -> None:
    state = replace(detected(1, confirmed=True), verification=verification, misses=4)
    states, _ = detect(by_id(state), {1}, track(1))
    assert states[1].verification is Verification.VERIFIED
    assert states[1].misses == 0


def test_tentative_objects_whose_name_nobody_looks_for_are_unconfirmable() -> None:
    states = by_id(detected(1), detected(2, "blue star"), detected(3, "blue star", confirmed=True), prompted(4))
    assert unconfirmable(states, PHRASES) == [2]
    assert unconfirmable(states, (*PHRASES, "blue star")) == []


def test_unconfirmed_labels_are_those_of_tentative_objects() -> None:
    assert unconfirmed_labels(by_id(detected(1), detected(2, "blue star", confirmed=True), prompted(3))) == {"red circle"}
