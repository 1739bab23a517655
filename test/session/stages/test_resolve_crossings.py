# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The fourth stage follows crossings, and reinitializes tracks that cover the wrong object afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.track_state import Verification
from lang2segtrack_ros.session.actions import Reinitialize
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.resolve_crossings import resolve_crossings
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.rle import Box
from test.identity.synthetic import BLUE, RED, detected, picture
from test.session.stages.builders import RectanglePredictor, boxed, context_of, modeled, state_of, summary

LEFT, RIGHT, MIDDLE = (10.0, 5.0, 40.0, 35.0), (80.0, 5.0, 110.0, 35.0), (45.0, 5.0, 75.0, 35.0)
COLOR = picture(RED, BLUE)


def objects(**changes: object) -> SessionState:
    """Return a red object 1 and a blue object 2 with models. Red is left, blue is right."""
    one = modeled(detected(1, "red box", confirmed=True), [(frame, boxed(1, LEFT), COLOR) for frame in range(3)])
    two = modeled(detected(2, "blue box", confirmed=True), [(frame, boxed(2, RIGHT), COLOR) for frame in range(3)])
    return state_of(one, two, **changes)


def frame(state: SessionState, index: int, one: Box | None, two: Box | None, **changes: object) -> tuple[SessionState, list[object]]:
    """Run the stage on a frame with the boxes of both tracks."""
    context = context_of(boxed(1, one, "red box"), boxed(2, two, "blue box"), color=COLOR, index=index, **changes)
    state, actions = resolve_crossings(state, context)
    return state, [*actions]


def test_touching_objects_open_a_crossing() -> None:
    state, actions = frame(objects(), 5, (30, 5, 60, 35), (55, 5, 85, 35))
    assert actions == []
    assert state.crossings == {(1, 2): Crossing(5, has_overlapped=False)}
    state, actions = frame(state, 6, MIDDLE, MIDDLE)
    assert state.crossings == {(1, 2): Crossing(5, has_overlapped=True)}


def test_objects_without_models_open_no_crossing() -> None:
    """Nothing could tell them apart afterwards."""
    state, _ = frame(state_of(detected(1), detected(2)), 5, MIDDLE, MIDDLE)
    assert state.crossings == {}


def test_swapped_tracks_are_reinitialized_on_their_objects() -> None:
    state = objects(crossings={(1, 2): Crossing(4, has_overlapped=True)})
    state, actions = frame(state, 6, RIGHT, LEFT)
    assert actions == [], "one frame with two parts may be a coincidence"
    assert state.crossings[1, 2].split_frames == 1
    before = state.tracks[1]
    state = state.with_track(replace(before, unseen_ns=5))
    state, actions = frame(state, 7, RIGHT, LEFT)
    assert {item.track_id: item.predicted.prompt.box for item in actions if isinstance(item, Reinitialize)} == {1: LEFT, 2: RIGHT}
    assert {item.predicted.prompt.label for item in actions if isinstance(item, Reinitialize)} == {"red box", "blue box"}
    assert len(actions) == 2
    assert state.crossings == {}
    assert (state.counters.crossings_resolved, state.counters.tracks_corrected_after_crossings) == (1, 2)
    assert (state.tracks[1].verification, state.tracks[1].unseen_ns) == (Verification.VERIFIED, 0)


def test_correct_tracks_keep_their_memories() -> None:
    state = objects(crossings={(1, 2): Crossing(4, True, split_frames=1)})
    state, actions = frame(state, 7, LEFT, RIGHT)
    assert actions == []
    assert (state.counters.crossings_resolved, state.counters.tracks_corrected_after_crossings) == (1, 0)


def test_crossing_of_a_hidden_object_stays_open_until_both_parts_are_visible() -> None:
    state = objects(crossings={(1, 2): Crossing(4, True, split_frames=1)})
    state, actions = frame(state, 7, None, RIGHT)
    assert actions == []
    assert state.crossings == {(1, 2): Crossing(4, True, split_frames=0)}


def test_failed_prediction_corrects_the_other_track_only() -> None:
    state = objects(crossings={(1, 2): Crossing(4, True, split_frames=1)})
    state, actions = frame(state, 7, RIGHT, LEFT, masks=RectanglePredictor([1, 2], refused=[LEFT]))
    assert summary(actions) == [("Reinitialize", 2)]  # type: ignore[arg-type]
    assert state.counters.predictions_refused == 1


@pytest.mark.parametrize("crossings", [{}, {(1, 2): Crossing(4, True, split_frames=1)}])
def test_stage_can_be_disabled(crossings: dict[tuple[int, int], Crossing]) -> None:
    before = objects(crossings=crossings)
    state, actions = frame(before, 7, RIGHT, LEFT, options=SessionOptions(resolve_crossings=False))
    assert actions == []
    assert state is before
