# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a session is a value: stages return a new one and leave their inputs unchanged."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lang2segtrack_ros.detection.pending_detection import CachedFrame, PendingDetection
from lang2segtrack_ros.detection.worker import DetectionRequest
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.duplicates import PairHistory
from lang2segtrack_ros.identity.scene_cut import SceneState
from lang2segtrack_ros.identity.track_state import Origin, Verification
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.session.stages.apply_prompts import apply_prompts
from lang2segtrack_ros.session.stages.associate import associate
from lang2segtrack_ros.session.stages.finish import finish
from lang2segtrack_ros.session.stages.resolve_crossings import resolve_crossings
from lang2segtrack_ros.session.stages.verify import verify
from lang2segtrack_ros.session.state import Counters, SessionState
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import TrackStatus
from test.identity.synthetic import RED, detected, picture, prompted, track
from test.session.stages.builders import context_of, modeled, queue_of, state_of
from test.session.stages.plain import plain
from test.session.stages.worlds import World, boxes, detected_worlds

STAGES = {
    "verify": verify,
    "apply_prompts": apply_prompts,
    "associate": associate,
    "resolve_crossings": resolve_crossings,
    "finish": lambda state, context: finish(state, context, list(state.tracks)[:1], list(state.tracks)[1:], 7, 2),
}


@pytest.mark.parametrize("name", STAGES)
def test_stage_leaves_its_inputs_unchanged(name: str) -> None:
    """To undo a frame that fails, the session keeps the state from before it."""

    def check(world: World, prompts: list[BoxPrompt]) -> None:
        state, context = world
        for prompt in prompts:
            state = replace(state, prompts=state.prompts.added(PromptHandle(prompt)))
        handles = [entry.handle for entry in state.prompts]
        before = plain(state), plain(replace(context, masks=None)), pickle.dumps((state.tracks, state.crossings, state.pairs))  # type: ignore[arg-type]
        STAGES[name](state, context)
        after = plain(state), plain(replace(context, masks=None)), pickle.dumps((state.tracks, state.crossings, state.pairs))  # type: ignore[arg-type]
        assert after == before
        assert all(handle.status is PromptStatus.QUEUED and not handle.done for handle in handles)

    given(detected_worlds(), st.lists(st.builds(BoxPrompt, boxes()), max_size=2))(
        settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])(check)
    )()


def test_state_and_objects_are_frozen() -> None:
    for value in (SessionState(), detected(1), Counters(), Crossing(1, True), PairHistory()):
        with pytest.raises(FrozenInstanceError):
            value.anything = 1  # type: ignore[union-attr]


def test_new_objects_get_ids_that_were_never_given() -> None:
    state, first = SessionState().spawned("cup", Origin.PROMPT, confirmed=True)
    state, second = state.without_track(first).spawned("pen", Origin.DETECTION, confirmed=False)
    assert (first, second) == (1, 2)
    assert state.labels == {2: "pen"}
    assert (state.tracks[2].origin, state.tracks[2].confirmed, state.tracks[2].hits) == (Origin.DETECTION, False, 1)
    assert state.tracks[2].verification is Verification.VERIFIED


def test_removed_object_leaves_nothing_behind() -> None:
    state = state_of(
        prompted(1),
        prompted(2),
        prompted(3),
        crossings={(1, 2): Crossing(1, True), (1, 3): Crossing(1, True)},
        pairs={(1, 2): PairHistory(1), (2, 3): PairHistory(2)},
    )
    after = state.without_track(2)
    assert list(after.tracks) == [1, 3]
    assert list(after.crossings) == [(1, 3)]
    assert after.pairs == {}
    assert after.next_track_id == 4


def shown(state: SessionState) -> SessionState:
    """Return the state after a frame with all objects."""
    return finish(state, context_of(*[track(key, 10 * key) for key in state.tracks]), (), (), 7, None)[0]


def test_object_that_a_user_removes_is_shown_once_more() -> None:
    """An object that no result has shown yet ends without a trace."""
    state = shown(state_of(prompted(1), prompted(2))).spawned("cup", Origin.PROMPT, confirmed=True)[0]
    state = state.with_removal(2).with_removal(3)
    assert list(state.tracks) == [1]
    assert [(item.id, item.state, item.box) for item in state.removed] == [(2, TrackStatus.REMOVED, None)]


def test_reset_removes_all_objects_and_prompts() -> None:
    """Ids, counters and the exposure continue. The next result shows all objects once more."""
    before = shown(state_of(prompted(1), prompted(2), counters=Counters(scene_cuts=3), scene=SceneState(exposure=0.5, size=(40, 120))))
    before = replace(before, prompts=queue_of(TextPrompt("red circle.")), schedule=before.schedule.added(TextPrompt("red circle."), 0)[0])
    state = before.reset()
    assert (state.frame_index, state.tracks, state.next_track_id, state.pending) == (0, {}, 3, None)
    assert [(item.id, item.state) for item in state.removed] == [(1, TrackStatus.REMOVED), (2, TrackStatus.REMOVED)]
    assert (state.counters.scene_cuts, state.scene.exposure, state.scene.size) == (3, 0.5, (0, 0))
    assert state.schedule.phrases == ()
    (entry,) = state.prompts
    assert entry.outcome is not None
    assert entry.outcome.error == "the session was reset before the prompt was applied: send the prompt again"


def test_dropped_detection_requeues_its_prompts() -> None:
    request = DetectionRequest(2, picture(RED), ("red circle",), (0.5,))
    pending = PendingDetection(request, (), (CachedFrame(2, ImageFeatures.__new__(ImageFeatures), 40, 120),))
    state = SessionState(pending=pending, prompts=queue_of(TextPrompt("red circle."), status=PromptStatus.DETECTING))
    after = state.without_detection()
    assert after.pending is None
    assert [entry.status for entry in after.prompts] == [PromptStatus.QUEUED]


def test_state_without_crossings_has_no_models() -> None:
    """Models from before a cut would decide a later crossing."""
    state = state_of(modeled(detected(1), [(0, track(1), picture(RED))]), detected(2), crossings={(1, 2): Crossing(1, True)})
    after = state.without_crossings()
    assert after.crossings == {}
    assert plain(after.tracks) == plain({1: detected(1), 2: detected(2)})


def test_counters_add_up_by_name() -> None:
    counters = Counters().plus(scene_cuts=1).plus(scene_cuts=2, false_alarms=1)
    assert counters.by_name() == {**Counters().by_name(), "scene_cuts": 3, "false_alarms": 1}
    assert set(counters.by_name().values()) == {0, 1, 3}


def test_state_can_be_pickled() -> None:
    """Handles and appearances included: checkpoints and test programs copy states."""
    state, _ = apply_prompts(state_of(prompts=queue_of(BoxPrompt((10, 5, 20, 15), "cup"))), context_of())
    copy = pickle.loads(pickle.dumps(state))
    assert plain(copy.tracks) == plain(state.tracks)
    assert [entry.outcome for entry in copy.prompts] == [entry.outcome for entry in state.prompts]
