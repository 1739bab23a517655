# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The first stage hides objects that fail their verification, and drops what a cut or another image size makes invalid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.detection.pending_detection import CachedFrame, PendingDetection
from lang2segtrack_ros.detection.schedule import DetectionSchedule
from lang2segtrack_ros.detection.worker import DetectionRequest
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.feature_appearance import FeatureModel, geometry_of, join
from lang2segtrack_ros.identity.look_alikes import MAX_WAIT_FRAMES
from lang2segtrack_ros.identity.scene_cut import SceneCutOptions, SceneState
from lang2segtrack_ros.identity.track_state import TrackState, Verification
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.session.actions import SplitOverlap
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.verify import verify
from lang2segtrack_ros.types.prompt_handle import PromptStatus
from lang2segtrack_ros.types.prompts import TextPrompt
from test.identity.synthetic import BLUE, HEIGHT, RED, WIDTH, appearance, detected, picture, prompted, track
from test.session.stages.builders import RectanglePredictor, boxed, context_of, modeled, queue_of, state_of, summary
from test.session.stages.plain import plain

NEW_SCENE = picture(BLUE, RED)


def scene_of(color: np.ndarray) -> SceneState:
    """Return the scene after an image."""
    return SceneState().next(color, SceneCutOptions())[0]


def suspended(track_id: int, verification: Verification = Verification.NEEDS_REID) -> TrackState:
    """Return a red object that must be verified."""
    state = replace(detected(track_id, confirmed=True), appearance=appearance(RED), unseen_ns=9, misses=2)
    return replace(state, verification=verification)


def test_object_that_resembles_its_appearance_is_verified() -> None:
    state, actions = verify(state_of(suspended(1)), context_of(track(1)))
    assert actions == []
    assert plain(state.tracks[1]) == plain(suspended(1).verified())


@pytest.mark.parametrize(
    ("verification", "color"),
    [(item, BLUE) for item in Verification if item is not Verification.VERIFIED] + [(Verification.NEEDS_REDETECTION, RED)],
)
def test_object_that_fails_its_verification_is_suspended(verification: Verification, color: tuple[int, int, int]) -> None:
    """An object that needs a new detection is hidden even with a similar appearance."""
    before = state_of(suspended(1, verification))
    state, actions = verify(before, context_of(track(1), color=picture(color)))
    assert summary(actions) == [("Suspend", 1)]
    assert plain(state.tracks) == plain(before.tracks)


def test_verified_and_hidden_objects_need_no_action() -> None:
    """A verified object keeps its mask on any color, and an object without a mask cannot be judged."""
    before = state_of(replace(suspended(1), verification=Verification.VERIFIED), suspended(2))
    state, actions = verify(before, context_of(track(1), track(2, None), color=picture(BLUE)))
    assert actions == []
    assert plain(state.tracks) == plain(before.tracks)


def test_scene_cut_drops_what_holds_only_for_the_old_scene() -> None:
    """The detection in progress shows the old scene. Its prompts wait for the next detection."""
    color = picture(RED, BLUE)
    request = DetectionRequest(2, color, ("red circle",), (0.5,))
    pending = PendingDetection(request, (), (CachedFrame(2, ImageFeatures.__new__(ImageFeatures), HEIGHT, WIDTH),))
    before = state_of(
        modeled(detected(1, confirmed=True), [(0, track(1), color)]),
        prompted(2),
        scene=scene_of(color),
        crossings={(1, 2): Crossing(1, True)},
        pending=pending,
        prompts=queue_of(TextPrompt("red circle."), status=PromptStatus.DETECTING),
        schedule=DetectionSchedule().added(TextPrompt("red circle."), 0)[0],
    )
    state, actions = verify(before, context_of(track(1), track(2, 80), color=NEW_SCENE))
    assert state.counters.scene_cuts == 1
    assert state.pending is None
    assert [entry.status for entry in state.prompts] == [PromptStatus.QUEUED]
    assert state.schedule.detect_now
    assert state.crossings == {}
    assert [item.model for item in state.tracks.values()] == [None, None]
    assert state.tracks[1].verification is Verification.NEEDS_REDETECTION
    assert summary(actions) == [("Suspend", 1)], "object 2 has no appearance yet, and passes its verification on this image"
    assert state.tracks[2].verification is Verification.VERIFIED


def test_first_image_and_similar_images_are_no_cut() -> None:
    first, _ = verify(state_of(detected(1)), context_of(track(1), color=picture(RED, BLUE)))
    second, _ = verify(first, context_of(track(1), color=picture(RED, BLUE, seed=1)))
    assert second.counters.scene_cuts == 0
    assert plain(second.tracks) == plain(first.tracks)
    assert not second.schedule.detect_now


def test_cut_detection_can_be_disabled() -> None:
    before = state_of(detected(1), scene=scene_of(picture(RED, BLUE)))
    state, _ = verify(before, context_of(track(1), color=NEW_SCENE, options=SessionOptions(scene_cut_threshold=0.0)))
    assert state.counters.scene_cuts == 0
    assert plain(state.tracks) == plain(before.tracks)


def test_new_image_size_drops_what_is_in_pixels() -> None:
    """Crossings, models and detected boxes hold only for the old size. The objects and their verification stay."""
    color = picture(RED)
    small = np.ascontiguousarray(color[::2, ::2])
    one = replace(modeled(detected(1), [(0, track(1), color)]), detected_box=(10.0, 5.0, 20.0, 15.0), appearance=appearance(RED))
    before = state_of(one, detected(2), scene=scene_of(color), crossings={(1, 2): Crossing(1, True)})
    state, _ = verify(before, context_of(color=small))
    assert state.crossings == {}
    assert plain(state.tracks[1]) == plain(replace(one, detected_box=None, model=None))
    assert state.scene.size == (HEIGHT // 2, WIDTH // 2)
    again, _ = verify(replace(state, crossings={(1, 2): Crossing(1, True)}), context_of(color=small))
    assert again.crossings != {}, "the same size again changes nothing"


def overlapping() -> tuple[TrackState, TrackState]:
    """Return a red and a blue object with models from before their crossing."""
    color = picture(RED, BLUE)
    left, right = boxed(1, (10, 5, 40, 35)), boxed(2, (70, 5, 100, 35))
    return (
        modeled(detected(1, confirmed=True), [(frame, left, color) for frame in range(3)]),
        modeled(detected(2, confirmed=True), [(frame, right, color) for frame in range(3)]),
    )


def test_overlap_of_a_crossing_is_split_by_color() -> None:
    color = picture(RED, BLUE)  # the border is at column 60
    both = (35.0, 5.0, 85.0, 35.0)
    before = state_of(*overlapping(), crossings={(1, 2): Crossing(1, True)}, scene=scene_of(color))
    state, actions = verify(before, context_of(boxed(1, both), boxed(2, both), color=color))
    assert summary(actions) == [("SplitOverlap", (1, 2))]
    (split,) = actions
    assert isinstance(split, SplitOverlap)
    assert split.ownership.image[10:30, 40:55].mean() > 0.8
    assert split.ownership.image[10:30, 65:80].mean() < -0.8
    assert plain(state.tracks) == plain(before.tracks)


def test_objects_without_an_overlap_keep_their_pixels() -> None:
    color = picture(RED, BLUE)
    before = state_of(*overlapping(), crossings={(1, 2): Crossing(1, has_overlapped=False)}, scene=scene_of(color))
    assert verify(before, context_of(boxed(1, (35, 5, 60, 35)), boxed(2, (60, 5, 85, 35)), color=color))[1] == []


def test_overlap_with_a_suspended_object_is_not_split() -> None:
    """The mask of a suspended object shows something else."""
    color = picture(RED, BLUE)
    one, two = overlapping()
    two = replace(two, verification=Verification.NEEDS_REDETECTION)
    both = (35.0, 5.0, 85.0, 35.0)
    before = state_of(one, two, crossings={(1, 2): Crossing(1, True)}, scene=scene_of(color))
    assert summary(verify(before, context_of(boxed(1, both), boxed(2, both), color=color))[1]) == [("Suspend", 2)]


def look_alike(track_id: int, column: int, verification: Verification = Verification.VERIFIED) -> TrackState:
    """Return a red object whose features have this context channel; see `RectanglePredictor.pool`."""
    known = replace(detected(track_id, confirmed=True), appearance=appearance(RED), verification=verification)
    return replace(known, features=FeatureModel.of(join(geometry_of(track(track_id).mask), pooled(column))))


def pooled(column: int) -> np.ndarray:
    """Return the features that the predictor pools in this column."""
    return RectanglePredictor().pool([track(1, 20 * column).mask])[0]


def test_track_on_the_place_of_a_look_alike_is_suspended() -> None:
    """The color fits. Only the features show that the returned mask is that of the other absent object."""
    before = state_of(look_alike(1, 1, Verification.NEEDS_REID), look_alike(2, 3, Verification.NEEDS_REID))
    _, actions = verify(before, context_of(track(1, 65), track(2, None)))
    assert summary(actions) == [("Suspend", 1), ("Reinitialize", 2)], "the mask moves to its object"
    state, actions = verify(before, context_of(track(1, 25), track(2, None)))
    assert actions == []
    assert state.tracks[1].verification is Verification.VERIFIED
    _, actions = verify(before, context_of(track(1, 65), track(2, None), options=SessionOptions(appearance="color")))
    assert actions == []


def test_equal_masks_of_two_look_alikes_verify_only_the_better_one() -> None:
    """Memories of look-alikes follow the same object. A joint assignment would give each of them one of the two equal masks."""
    before = state_of(look_alike(1, 1, Verification.NEEDS_REID), look_alike(2, 3, Verification.NEEDS_REID))
    _, actions = verify(before, context_of(track(1, 65), track(2, 65)))
    assert summary(actions) == [("Suspend", 1)]


def test_mask_of_a_verified_track_moves_to_the_absent_look_alike_that_it_shows() -> None:
    before = state_of(look_alike(1, 1), look_alike(2, 3, Verification.NEEDS_REID))
    state, actions = verify(before, context_of(track(1, 65), track(2, None), index=10))
    assert summary(actions) == [("Suspend", 1), ("Reinitialize", 2)]
    assert state.tracks[1].verification is Verification.NEEDS_REID
    assert state.tracks[2].verification is Verification.VERIFIED
    assert state.counters.suspected_id_switches == 1
    for unchanged in (context_of(track(1, 65), track(2, None), index=11), context_of(track(1, 65), track(2, 25), index=10)):
        present = state_of(look_alike(1, 1), look_alike(2, 3)) if unchanged.index == 10 else before
        assert verify(present, unchanged)[1] == [], "the check is not due, or the other object is present"


def test_swapped_masks_of_two_look_alikes_are_exchanged() -> None:
    """A track can move to its look-alike when that one returns. The other one then takes its place."""
    before = state_of(look_alike(1, 1, Verification.NEEDS_REID), look_alike(2, 3))
    state, actions = verify(before, context_of(track(1, 65), track(2, 25)))
    assert summary(actions) == [("Reinitialize", 2), ("Reinitialize", 1)]
    assert [known.verification for known in state.tracks.values()] == [Verification.VERIFIED, Verification.VERIFIED]


def test_mask_does_not_move_to_an_object_that_the_detector_must_find() -> None:
    before = state_of(look_alike(1, 1, Verification.NEEDS_REID), look_alike(2, 3, Verification.NEEDS_REDETECTION))
    _, actions = verify(before, context_of(track(1, 65), track(2, None)))
    assert summary(actions) == [("Suspend", 1)]


def test_cut_mask_of_two_unverified_look_alikes_waits() -> None:
    before = state_of(look_alike(1, 1, Verification.NEEDS_REID), look_alike(2, 3, Verification.NEEDS_REID))
    state, actions = verify(before, context_of(track(1, 0), track(2, None), index=7))
    assert summary(actions) == [("Suspend", 1)]
    assert [known.waiting_since for known in state.tracks.values()] == [7, 7]
    state, actions = verify(state, context_of(track(1, 0), track(2, None), index=7 + MAX_WAIT_FRAMES))
    assert actions == []
