# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The third stage gives detections to tracks, starts and returns objects, and answers text prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.track_state import Origin, Verification
from lang2segtrack_ros.session.actions import Reidentify, Reinitialize, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.associate import associate
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.prompt_handle import PromptOutcome
from lang2segtrack_ros.types.prompts import TextPrompt
from lang2segtrack_ros.types.rle import Box
from test.identity.synthetic import BLUE, RED, appearance, detected, picture
from test.session.stages.builders import (
    RectanglePredictor,
    boxed,
    context_of,
    detecting,
    detection_of,
    modeled,
    outcomes,
    rectangle,
    state_of,
    summary,
)

BOX = (60.0, 5.0, 90.0, 35.0)
FAR = (5.0, 5.0, 25.0, 25.0)
CIRCLE = Detection("red circle", 0.9, BOX)
TEXT = TextPrompt("red circle.")


def test_frame_without_detections_changes_nothing() -> None:
    state = detecting(TEXT)
    assert associate(state, context_of()) == (state, [])


def test_detection_without_a_track_starts_a_tentative_object() -> None:
    state, actions = associate(state_of(), detection_of(context_of(), CIRCLE))
    assert summary(actions) == [("Spawn", 1)]
    track = state.tracks[1]
    assert (track.label, track.origin, track.confirmed, track.hits) == ("red circle", Origin.DETECTION, False, 1)
    assert track.detected_box == BOX
    assert state.next_track_id == 2


@pytest.mark.parametrize(("score", "cut", "confirmed"), [(0.9, False, True), (0.7, False, False), (0.9, True, False)])
def test_sure_detection_confirms_its_object_at_once(score: float, cut: bool, confirmed: bool) -> None:
    """The score must be high, and the mask must fill the box. A neighbor can cut the mask."""
    masks = RectanglePredictor(cut=[BOX] if cut else [])
    context = detection_of(context_of(masks=masks), replace(CIRCLE, score=score), default_threshold=0.5)
    state, _ = associate(state_of(), context)
    assert state.tracks[1].confirmed == confirmed


def test_sure_detection_confirms_a_tentative_track() -> None:
    context = detection_of(context_of(boxed(1, BOX), options=SessionOptions(min_hits=9)), CIRCLE, default_threshold=0.5)
    state, _ = associate(state_of(detected(1)), context)
    assert state.tracks[1].confirmed


def test_min_hits_of_one_confirms_an_object_immediately() -> None:
    state, _ = associate(state_of(), detection_of(context_of(options=SessionOptions(min_hits=1)), CIRCLE))
    assert state.tracks[1].confirmed


def test_mask_of_a_new_object_is_clipped_to_its_box() -> None:
    """Pixels far beyond the box belong to a neighbor."""
    masks = RectanglePredictor(grown=[BOX])
    _, (action,) = associate(state_of(), detection_of(context_of(masks=masks), CIRCLE))
    assert isinstance(action, Spawn)
    assert masks.mask_of(action.predicted).any(0).nonzero()[0].max() < 90 + 0.15 * 30


def test_detection_on_a_track_is_a_hit() -> None:
    before = state_of(replace(detected(1), misses=2, verification=Verification.NEEDS_REID))
    state, actions = associate(before, detection_of(context_of(boxed(1, (62, 5, 92, 35))), CIRCLE))
    assert actions == []
    track = state.tracks[1]
    assert (track.hits, track.misses, track.confirmed, track.verification) == (2, 0, True, Verification.VERIFIED)
    assert track.detected_box == BOX


def test_detection_with_another_name_finds_a_track_but_gives_no_box() -> None:
    """The box of a lid on a cup is not that of the cup, and confirms no cup."""
    before = state_of(replace(detected(1), detected_box=FAR, misses=2))
    context = detection_of(context_of(boxed(1, BOX)), Detection("lid", 0.9, BOX), phrases=("red circle", "lid"))
    state, actions = associate(before, context)
    assert actions == []
    track = state.tracks[1]
    assert (track.hits, track.misses, track.confirmed, track.detected_box) == (1, 0, False, FAR)


def test_detection_whose_mask_is_that_of_a_track_starts_no_object() -> None:
    """The box of the detection fits no track, but its mask does: the box of a remnant, or of a thin object."""
    track = boxed(1, (60, 5, 90, 35), "lid")
    context = detection_of(context_of(track), Detection("red circle", 0.9, (60, 5, 82, 35)), phrases=("red circle", "lid"))
    state, actions = associate(state_of(replace(detected(1, "lid", confirmed=True), misses=2)), context)
    assert actions == []
    assert list(state.tracks) == [1]
    assert state.tracks[1].misses == 0


def test_mask_of_a_track_that_was_removed_since_the_image_is_ignored() -> None:
    """A late detection must neither return the removed object nor start a new one in its place."""
    track = boxed(1, (60, 5, 90, 35), "lid")
    context = detection_of(context_of(track), Detection("red circle", 0.9, (60, 5, 82, 35)), CIRCLE)
    assert associate(state_of(next_track_id=2), context)[1] == []


@pytest.mark.parametrize("verification", list(Verification))
def test_absent_object_returns_with_its_id(verification: Verification) -> None:
    """A detection of its name and its appearance is enough, after a scene cut too."""
    absent = replace(detected(1, confirmed=True), appearance=appearance(RED), verification=verification, unseen_ns=9)
    state, actions = associate(state_of(absent), detection_of(context_of(boxed(1, None)), CIRCLE))
    assert summary(actions) == [("Reidentify", 1)]
    assert isinstance(actions[0], Reidentify)
    assert (state.tracks[1].verification, state.tracks[1].unseen_ns) == (Verification.VERIFIED, 0)
    assert state.counters.tracks_reidentified == 1


@pytest.mark.parametrize(("label", "color"), [("red circle", BLUE), ("blue star", RED)])
def test_other_appearance_or_name_starts_an_object(label: str, color: tuple[int, int, int]) -> None:
    absent = replace(detected(1, label, confirmed=True), appearance=appearance(RED))
    state, actions = associate(state_of(absent), detection_of(context_of(boxed(1, None, label), color=picture(color)), CIRCLE))
    assert summary(actions) == [("Spawn", 2)]
    assert state.counters.tracks_reidentified == 0


def test_object_returns_at_the_object_limit_but_none_starts() -> None:
    absent = replace(detected(1, confirmed=True), appearance=appearance(RED))
    context = context_of(boxed(1, None), color=picture(BLUE, RED), options=SessionOptions(max_objects=1))
    state = replace(detecting(TEXT), tracks={1: absent}, next_track_id=2)
    state, actions = associate(state, detection_of(context, Detection("red circle", 0.95, FAR), replace(CIRCLE, box=(65, 5, 95, 35))))
    assert summary(actions) == [("Reidentify", 1)]
    assert outcomes(state) == [PromptOutcome((1,), ("red circle",))], "an error is reported only without any object"
    assert state.next_track_id == 2


def reinitialized(fits: list[float], **changes: object) -> list[bool]:
    """Return for consecutive detections of a track, given by their IoU with its box, if they reinitialize it."""
    state, after = state_of(detected(1, confirmed=True)), []
    for iou in fits:
        context = context_of(boxed(1, (10, 0, 110, 30)))
        context = replace(context, **changes) if changes else context
        state, actions = associate(state, detection_of(context, Detection("red circle", 0.9, (10, 0, 10 + 100 * iou, 30))))
        after.append(summary(actions) == [("Reinitialize", 1)])
        assert len(actions) == after[-1]
    return after


def test_loose_fit_counts_twice_in_a_row() -> None:
    assert reinitialized([0.4, 0.9, 0.4, 0.4, 0.4]) == [False, False, False, True, False]


def test_prompt_of_a_user_beats_the_box_of_a_detection() -> None:
    assert reinitialized([0.4, 0.4, 0.4], prompted=frozenset({1})) == [False] * 3


@pytest.mark.parametrize(
    ("box", "predicted_iou", "last"), [((62, 8, 70, 16), 0.4, None), ((20, 0, 110, 40), 0.9, BOX)], ids=["remnant", "overgrown"]
)
def test_remnant_and_overgrown_mask_are_reinitialized_at_once(box: tuple[int, ...], predicted_iou: float, last: Box | None) -> None:
    """A confident mask of the same box would be another object, in front of or behind the detection."""
    state = state_of(replace(detected(1, confirmed=True), detected_box=last, unseen_ns=3))
    context = detection_of(context_of(boxed(1, (*map(float, box),), predicted_iou=predicted_iou)), CIRCLE)  # type: ignore[arg-type]
    state, actions = associate(state, context)
    assert summary(actions) == [("Reinitialize", 1)]
    assert isinstance(actions[0], Reinitialize)
    assert actions[0].predicted.prompt.label == "red circle"
    assert list(state.tracks) == [1]
    assert state.tracks[1].unseen_ns == 0


def test_track_stays_if_the_prediction_for_its_drift_fails() -> None:
    state = state_of(replace(detected(1, confirmed=True), unseen_ns=3))
    context = context_of(boxed(1, (62, 8, 70, 16), predicted_iou=0.4), masks=RectanglePredictor([1], refused=[BOX]))
    state, actions = associate(state, detection_of(context, CIRCLE))
    assert actions == []
    assert state.counters.predictions_refused == 1
    assert state.tracks[1].hits == 2


@pytest.mark.parametrize(("predicted_iou", "certainty", "replaced"), [(0.4, 0.9, True), (0.4, 0.5, False), (0.9, 0.9, False)])
def test_withered_mask_is_replaced_by_a_better_one(predicted_iou: float, certainty: float, replaced: bool) -> None:
    """The box of the track still fits. The network doubts its mask, but not that of the detection."""
    masks = RectanglePredictor([1], certainty=certainty)
    context = detection_of(context_of(boxed(1, BOX, predicted_iou=predicted_iou), masks=masks), CIRCLE)
    assert summary(associate(state_of(detected(1, confirmed=True)), context)[1]) == ([("Reinitialize", 1)] if replaced else [])


def stray(**changes: Any) -> SessionState:
    """Return a red object whose last detection was at BOX."""
    attributes = {"detected_box": BOX, "appearance": appearance(RED), **changes}
    return state_of(replace(detected(1, confirmed=True), **attributes))


APART = (100.0, 25.0, 115.0, 40.0)


@pytest.mark.parametrize("reason", ["uncertain", "another color"])
def test_stray_track_returns_to_its_object(reason: str) -> None:
    """A neighbor took its mask. A detection of its name near its last detection is the object, and gets no second id."""
    color = picture(RED)
    if reason == "another color":
        color[25:, 95:] = BLUE
    track = boxed(1, APART, predicted_iou=0.4 if reason == "uncertain" else 0.9)
    state, actions = associate(stray(unseen_ns=3), detection_of(context_of(track, color=color), CIRCLE))
    assert summary(actions) == [("Reinitialize", 1)]
    assert list(state.tracks) == [1]
    assert (state.tracks[1].hits, state.tracks[1].unseen_ns, state.counters.tracks_reidentified) == (2, 0, 1)


@pytest.mark.parametrize("reason", ["healthy", "far", "prompted", "of a user", "another object"])
def test_track_that_is_not_stray_keeps_its_mask(reason: str) -> None:
    """Then the detection is another object of this name."""
    track = boxed(1, APART, predicted_iou=0.9 if reason == "healthy" else 0.4)
    changes: dict[str, dict[str, Any]] = {"far": {"detected_box": FAR}, "of a user": {"origin": Origin.PROMPT}}
    color = picture(RED)
    if reason == "another object":
        color[5:35, 60:90] = BLUE
    context = context_of(track, color=color, prompted=frozenset({1} if reason == "prompted" else set()))
    assert summary(associate(stray(**changes.get(reason, {})), detection_of(context, CIRCLE))[1]) == [("Spawn", 2)]


def test_detection_on_the_box_of_a_track_gives_its_last_box() -> None:
    """Other detections whose masks are that of the track cover only parts of the object."""
    parts = [Detection("red circle", 0.8, (60, 5, 78, 35)), Detection("red circle", 0.7, (73, 5, 90, 35))]
    whole = Detection("red circle", 0.9, (60, 5, 90, 34))
    for found in ([whole, *parts], [*parts, whole], [parts[1], whole, parts[0]]):
        state, _ = associate(state_of(detected(1, confirmed=True)), detection_of(context_of(boxed(1, BOX)), *found))
        assert state.tracks[1].detected_box == whole.box


def test_one_sure_detection_among_several_confirms_a_track() -> None:
    """The order of the detections must not matter."""
    whole, part = Detection("red circle", 0.9, (60, 5, 90, 34)), Detection("red circle", 0.5, (60, 5, 78, 35))
    for found in ((whole, part), (part, whole)):
        context = context_of(boxed(1, BOX), options=SessionOptions(min_hits=9))
        state, _ = associate(state_of(detected(1)), detection_of(context, *found, default_threshold=0.5))
        assert state.tracks[1].confirmed


def test_reinitialization_ends_the_count_of_loose_fits() -> None:
    """The mask is new, so the fit of the old one says nothing about it."""
    context = context_of(boxed(1, (62, 8, 70, 16), predicted_iou=0.4))
    state, actions = associate(state_of(detected(1, confirmed=True)), detection_of(context, CIRCLE))
    assert summary(actions) == [("Reinitialize", 1)]
    assert state.tracks[1].loose_fits == 0


def test_false_alarm_is_removed_on_its_third_miss() -> None:
    state, removed = state_of(detected(1), detected(2, confirmed=True)), []
    context = detection_of(context_of(boxed(1, FAR), boxed(2, BOX)), CIRCLE)
    for _ in range(3):
        state, actions = associate(state, context)
        removed.append(summary(actions))
    assert removed == [[], [], [("Remove", 1)]]
    assert state.counters.false_alarms == 1
    assert set(state.tracks) == {1, 2}, "the last stage removes it, unless a prompt points at it"


def test_detection_of_other_names_counts_no_misses() -> None:
    state = state_of(detected(1))
    for _ in range(5):
        state, actions = associate(state, detection_of(context_of(boxed(1, FAR)), phrases=("blue star",)))
        assert actions == []
    assert state.tracks[1].misses == 0


LEFT, RIGHT = (10.0, 5.0, 40.0, 35.0), (80.0, 5.0, 110.0, 35.0)
COLOR = picture(RED, BLUE)


def crossing(first_frame: int = 3) -> tuple[SessionState, FrameContext]:
    """Return two objects of one label in a crossing. Red object 1 came from the left. On frame 6, both masks cover the middle."""
    both = (45.0, 5.0, 75.0, 35.0)
    one = modeled(detected(1, "box", confirmed=True), [(frame, boxed(1, LEFT, "box"), COLOR) for frame in range(3)])
    two = modeled(detected(2, "box", confirmed=True), [(frame, boxed(2, RIGHT, "box"), COLOR) for frame in range(3)])
    state = state_of(one, two, crossings={(1, 2): Crossing(first_frame, has_overlapped=True)})
    return state, context_of(boxed(1, both, "box"), boxed(2, both, "box"), color=COLOR, index=6)


def boxes(*items: tuple[float, float, float, float]) -> list[Detection]:
    return [Detection("box", 0.9, box) for box in items]


def test_two_detections_apart_resolve_a_crossing() -> None:
    state, context = crossing()
    state, actions = associate(state, detection_of(context, *boxes(RIGHT, LEFT), phrases=("box",)))
    assert {action.track_id: action.predicted.prompt.box for action in actions if isinstance(action, Reinitialize)} == {1: LEFT, 2: RIGHT}
    assert len(actions) == 2
    assert state.crossings == {}
    assert (state.counters.crossings_resolved, state.counters.tracks_corrected_after_crossings) == (1, 2)
    assert [state.tracks[key].hits for key in (1, 2)] == [2, 2]


def test_track_that_covers_its_part_keeps_its_memories() -> None:
    state, context = crossing()
    context = replace(context, tracks=(boxed(1, LEFT, "box"), boxed(2, LEFT, "box")))
    state, actions = associate(state, detection_of(context, *boxes(RIGHT, LEFT), phrases=("box",)))
    assert summary(actions) == [("Reinitialize", 2)]
    assert (state.counters.crossings_resolved, state.counters.tracks_corrected_after_crossings) == (1, 1)


@pytest.mark.parametrize("first_frame", [6, 7])
def test_detections_from_before_a_crossing_do_not_resolve_it(first_frame: int) -> None:
    """A slow detector returns boxes of an image on which both objects were still apart."""
    state, context = crossing(first_frame)
    state, actions = associate(state, detection_of(context, *boxes(RIGHT, LEFT), phrases=("box",)))
    assert (1, 2) in state.crossings
    assert [name for name, _ in summary(actions) if name == "Reinitialize"] == []
    assert state.counters.crossings_resolved == 0


def test_one_detection_resolves_no_crossing_and_starts_no_object() -> None:
    """It may be either object of the pair."""
    state, context = crossing()
    state, actions = associate(state, detection_of(context, *boxes((40, 5, 65, 35)), phrases=("box",)))
    assert actions == []
    assert (1, 2) in state.crossings


def test_parts_of_other_objects_leave_a_crossing_open() -> None:
    """Both detections show an object without a track. Its color is that of neither object."""
    state, context = crossing()
    green: NDArray[np.uint8] = np.full_like(COLOR, (40, 160, 60))
    context = replace(context, color=green)
    state, actions = associate(state, detection_of(context, *boxes(RIGHT, LEFT), phrases=("box",)))
    assert (1, 2) in state.crossings
    assert state.counters.crossings_resolved == 0
    assert "Reinitialize" not in {name for name, _ in summary(actions)}


def test_failed_prediction_leaves_a_crossing_open() -> None:
    state, context = crossing()
    context = replace(context, masks=RectanglePredictor([1, 2], refused=[LEFT]))
    state, _ = associate(state, detection_of(context, *boxes(RIGHT, LEFT), phrases=("box",)))
    assert (1, 2) in state.crossings
    assert state.counters.predictions_refused == 2, "once to resolve the crossing, and once to start an object"


def test_hidden_object_of_a_crossing_does_not_return_by_appearance() -> None:
    """Its color says little while the other object is close. Two detections decide."""
    state, context = crossing()
    state = replace(state, tracks={key: replace(track, appearance=appearance(RED)) for key, track in state.tracks.items()})
    context = replace(context, tracks=(boxed(1, None, "box"), boxed(2, RIGHT, "box")), color=picture(RED))
    state, actions = associate(state, detection_of(context, *boxes((20, 5, 60, 35)), phrases=("box",)))
    assert "Reidentify" not in {name for name, _ in summary(actions)}


def test_appearance_of_a_returning_object_comes_from_the_image_of_the_detection() -> None:
    """A late detection belongs to an earlier image than the present."""
    color = picture(BLUE, RED)
    absent = replace(detected(1, confirmed=True), appearance=appearance_of(color, rectangle(*BOX)))
    context = detection_of(context_of(boxed(1, None), color=color), CIRCLE)
    assert summary(associate(state_of(absent), context)[1]) == [("Reidentify", 1)]
