# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The last stage counts the time unseen, merges duplicates, ends tracks, and makes the result."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from lang2segtrack_ros.detection.schedule import DetectionSchedule
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.duplicates import PairHistory
from lang2segtrack_ros.identity.lifecycle import NS
from lang2segtrack_ros.identity.track_state import Verification
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.finish import finish
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from test.identity.synthetic import detected, prompted, track
from test.session.stages.builders import context_of, state_of

SEARCHED = DetectionSchedule().added(TextPrompt("red circle."), 0)[0]


def end(
    state: SessionState, context: FrameContext, removed: Collection[int] = (), started: Collection[int] = (), detections: int | None = None
) -> tuple[SessionState, FrameResult]:
    """Run the stage on a frame with the timestamp 7."""
    return finish(state, context, removed, started, 7, detections)


def states(result: FrameResult) -> dict[int, str]:
    return {item.id: item.state.name for item in result.tracks}


def seconds(value: float) -> int:
    return round(value * NS)


def test_result_describes_the_frame() -> None:
    state, result = end(state_of(prompted(1)), context_of(track(1, label="mine"), index=4), detections=3)
    assert (result.stamp_ns, result.index, result.height, result.width, result.detections) == (7, 4, 40, 120, 3)
    assert states(result) == {1: "TRACKED"}
    assert state.frame_index == 5
    assert state.last is not None
    assert states(state.last) == {1: "TRACKED"}


@pytest.mark.parametrize(
    ("unseen_s", "name"), [(0.0, "OCCLUDED"), (1.5, "OCCLUDED"), (1.9, "LOST"), (4.8, "LOST"), (4.9, "REMOVED"), (9.0, "REMOVED")]
)
def test_hidden_object_is_occluded_then_lost_then_removed(unseen_s: float, name: str) -> None:
    """The frame adds a tenth of a second."""
    hidden = replace(prompted(1), unseen_ns=seconds(unseen_s))
    state, result = end(state_of(hidden), context_of(track(1, None), options=SessionOptions(lost_after_s=2.0, remove_after_s=5.0)))
    assert states(result) == {1: name}
    assert list(state.tracks) == ([] if name == "REMOVED" else [1])


def test_visible_object_is_tracked_again() -> None:
    state, result = end(state_of(replace(prompted(1), unseen_ns=seconds(100))), context_of(track(1)))
    assert states(result) == {1: "TRACKED"}
    assert state.tracks[1].unseen_ns == 0


def test_tentative_object_is_not_announced() -> None:
    _, result = end(state_of(detected(1), detected(2), schedule=SEARCHED), context_of(track(1), track(2, None)))
    assert states(result) == {1: "TENTATIVE", 2: "TENTATIVE"}
    assert result.announced == ()


def test_long_absence_requires_reid() -> None:
    hidden = replace(prompted(1), unseen_ns=seconds(0.95))
    state, _ = end(state_of(hidden), context_of(track(1, None), options=SessionOptions(reid_after_s=1.0)))
    assert state.tracks[1].verification is Verification.NEEDS_REID


def test_removed_object_is_shown_once_and_forgotten() -> None:
    """Its crossings and its relations to other objects end with it. A new object starts with a new id and no time unseen."""
    before = state_of(
        prompted(1),
        prompted(2),
        prompted(3),
        crossings={(1, 2): Crossing(1, True), (2, 3): Crossing(1, True)},
        pairs={(1, 3): PairHistory(9), (2, 3): PairHistory(4)},
    )
    context = context_of(track(1, None, "a"), track(2, 60, "b"), track(3, 90, "c"))
    state, result = end(before, context, removed={2})
    assert states(result) == {1: "OCCLUDED", 2: "REMOVED", 3: "TRACKED"}
    removed = result.by_id[2]
    assert (removed.box, removed.score, removed.mask.any()) == (None, 0.0, False)
    assert state.last is not None
    assert list(state.last.by_id) == [1, 3]
    assert (list(state.tracks), state.crossings, state.pairs) == ([1, 3], {}, {(1, 3): PairHistory(9)})
    _, result = end(state, context_of(track(1, None, "a"), track(3, 90, "c")))
    assert list(result.by_id) == [1, 3]


def test_object_that_a_user_removed_between_two_frames_is_shown_once() -> None:
    removed = track(2, 60).as_removed()
    state, result = end(state_of(prompted(1), prompted(3), removed=(removed,)), context_of(track(1), track(3, 90)))
    assert states(result) == {1: "TRACKED", 2: "REMOVED", 3: "TRACKED"}
    assert [item.id for item in result.tracks] == [1, 2, 3]
    assert state.removed == ()
    _, result = end(state, context_of(track(1), track(3, 90)))
    assert list(result.by_id) == [1, 3]


def test_prompt_on_this_frame_protects_an_object() -> None:
    """The prompt proves that the object exists, whatever the detector says."""
    protected = context_of(track(1), prompted=frozenset({1}))
    state, result = end(state_of(replace(detected(1), confirmed=True), schedule=SEARCHED), protected, removed={1})
    assert states(result) == {1: "TRACKED"}
    assert result.prompted == (1,)
    assert 1 in state.tracks


def test_tentative_object_whose_prompt_ended_is_removed() -> None:
    """No detection can confirm it, so it would count towards the limit of objects forever. A confirmed object stays."""
    before = state_of(detected(1), detected(2, confirmed=True), prompted(3))
    state, result = end(before, context_of(track(1), track(2, 60), track(3, 90, "mine")))
    assert states(result) == {1: "REMOVED", 2: "TRACKED", 3: "TRACKED"}
    assert list(state.tracks) == [2, 3]


def test_result_names_the_objects_that_started_on_this_frame() -> None:
    """An object that starts and ends on one frame is named as well. Catching up may have dropped the others."""
    context = context_of(track(1), track(2, 60), track(3, 90), prompted=frozenset({3}))
    _, result = end(state_of(prompted(1), prompted(2), prompted(3)), context, started={1, 9})
    assert result.prompted == (1, 3)


def together(number: int, tracks: Sequence[Track], before: SessionState, **changes: object) -> tuple[SessionState, list[FrameResult]]:
    """Run the stage on several equal frames."""
    results = []
    for _ in range(number):
        before, result = end(before, context_of(*tracks, **changes))
        results.append(result)
        tracks = [item for item in tracks if item.id in before.tracks]
    return before, results


def test_duplicate_is_removed() -> None:
    before = state_of(detected(1, confirmed=True), detected(2, confirmed=True), schedule=SEARCHED)
    options = SessionOptions(merge_frames=3)
    state, results = together(3, [track(1), track(2, 11)], before, options=options)
    assert [states(result) for result in results] == [{1: "TRACKED", 2: "TRACKED"}] * 2 + [{1: "TRACKED", 2: "REMOVED"}]
    assert state.counters.duplicates_merged == 1
    assert (list(state.tracks), state.pairs) == ([1], {})


@pytest.mark.parametrize(("scores", "suspected"), [((0.9, 0.6), 2), ((0.6, 0.9), 1)])
def test_suspected_id_switch_requires_a_detection(scores: tuple[float, float], suspected: int) -> None:
    """Both tracks stay. The less certain one needs a new detection."""
    before = state_of(
        detected(1, confirmed=True), detected(2, confirmed=True), schedule=SEARCHED, pairs={(1, 2): PairHistory(frames_apart=6)}
    )
    tracks = [replace(track(number), score=score) for number, score in zip((1, 2), scores)]
    state, results = together(3, tracks, before, options=SessionOptions(merge_frames=3))
    assert states(results[-1]) == {1: "TRACKED", 2: "TRACKED"}
    assert {key: item.verification.name for key, item in state.tracks.items()} == {
        suspected: "NEEDS_REDETECTION",
        3 - suspected: "VERIFIED",
    }
    assert state.counters.suspected_id_switches == 1


@pytest.mark.parametrize("reason", ["prompted", "not searched", "disabled"])
def test_id_switch_is_not_suspected_without_detection_of_the_label(reason: str) -> None:
    """No detection could re-identify the track that has moved."""
    objects = [prompted(1), prompted(2)] if reason == "prompted" else [detected(1, confirmed=True), detected(2, confirmed=True)]
    schedule = DetectionSchedule() if reason == "not searched" else SEARCHED
    before = state_of(*objects, schedule=schedule, pairs={(1, 2): PairHistory(frames_apart=6)})
    options = SessionOptions(merge_frames=3, reid_after_s=0.0 if reason == "disabled" else 1.0)
    state, _ = together(6, [track(1), track(2)], before, options=options)
    assert [item.verification for item in state.tracks.values()] == [Verification.VERIFIED] * 2
    assert state.counters.suspected_id_switches == 0


def test_removed_track_has_no_mask() -> None:
    removed = track(5).as_removed()
    assert (removed.state, removed.score, removed.box, removed.mask.any()) == (TrackStatus.REMOVED, 0.0, None, False)
    assert track(5).mask.any(), "the track of the last result keeps its mask"
