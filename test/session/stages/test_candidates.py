# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Candidates return as absent objects of their label, jointly. Cut candidates wait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.appearance import Appearance, appearance_similarity
from lang2segtrack_ros.identity.feature_appearance import FeatureModel
from lang2segtrack_ros.identity.look_alikes import MAX_WAIT_FRAMES, Sample
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.candidates import Candidate, objects_of, observe, without_waiting
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.identity.synthetic import BLUE, HEIGHT, RED, REDDISH, WIDTH, appearance, detected, observation
from test.session.stages.builders import context_of, predicted, state_of

OPTIONS = SessionOptions()
CUT = observation(geometry=float("nan"))


def candidate(color: Appearance | None, label: str = "red circle", features: np.ndarray | None = None, index: int = 0) -> Candidate:
    """Return a candidate with this appearance."""
    return Candidate(index, label, predicted(BoxPrompt((0, 0, 1, 1)), np.zeros((2, 2), bool)), None, Sample(color, features))


def absent(track_id: int, color: Appearance | None, size: float | None = None) -> TrackState:
    """Return an absent red circle with this appearance."""
    features = None if size is None else FeatureModel.of(observation(size))
    return replace(detected(track_id, confirmed=True), appearance=color, features=features)


def test_returning_objects_are_assigned_jointly() -> None:
    """In sequence, the first candidate would get the object that is more similar to the second candidate."""
    red, between, reddish = appearance(RED), appearance((206, 50, 45)), appearance(REDDISH)
    assert appearance_similarity(between, reddish) > appearance_similarity(between, red), "alone, it would be assigned to the second object"
    assert objects_of([candidate(between), candidate(reddish)], [absent(1, red), absent(2, reddish)], OPTIONS) == {0: 0, 1: 1}


def test_features_decide_between_objects_of_one_color() -> None:
    lost = [absent(1, appearance(RED), -0.5), absent(2, appearance(RED), 0.5)]
    large = candidate(appearance(RED), features=observation(0.4))
    assert objects_of([large], lost, OPTIONS) == {0: 1}
    assert objects_of([large], lost, SessionOptions(appearance="color")) == {0: 0}, "colors do not tell them apart"


def test_different_appearance_or_label_is_not_reidentified() -> None:
    lost = [absent(1, appearance(RED)), absent(2, appearance(REDDISH))]
    assert objects_of([candidate(appearance(BLUE))], lost, OPTIONS) == {}
    assert objects_of([candidate(appearance(RED), "blue circle")], lost, OPTIONS) == {}
    assert objects_of([candidate(appearance(RED))], [], OPTIONS) == {}, "a visible object cannot be re-identified"


def test_object_or_detection_without_appearance_is_not_reidentified() -> None:
    """A mask of a few pixels has no appearance, and neither has an object that was never seen with certainty."""
    assert objects_of([candidate(None)], [absent(1, appearance(RED))], OPTIONS) == {}
    assert objects_of([candidate(appearance(RED))], [absent(1, None)], OPTIONS) == {}


def test_threshold_of_zero_accepts_every_appearance_but_no_other_label() -> None:
    options, lost = SessionOptions(reid_threshold=0.0), [absent(1, appearance(RED))]
    assert objects_of([candidate(appearance(BLUE))], lost, options) == {0: 0}
    assert objects_of([candidate(appearance(RED), "blue star")], lost, options) == {}


def test_cut_candidate_waits_for_its_whole_mask() -> None:
    """Of two absent look-alikes, neither is taken before the geometry of the mask is known, for a limited time."""
    state = state_of(absent(1, appearance(RED), -0.5), absent(2, appearance(RED), 0.5))
    cut, whole = candidate(appearance(RED), features=CUT), candidate(appearance(RED), features=observation(0.5), index=1)
    state, decided = without_waiting([cut, whole], [1, 2], state, context_of(index=8))
    assert [item.index for item in decided] == [1]
    assert [known.waiting_since for known in state.tracks.values()] == [8, 8]
    _, decided = without_waiting([cut], [1, 2], state, context_of(index=8 + MAX_WAIT_FRAMES))
    assert len(decided) == 1


def test_candidate_without_features_does_not_wait() -> None:
    state = state_of(absent(1, appearance(RED), -0.5), absent(2, appearance(RED), 0.5))
    _, decided = without_waiting([candidate(appearance(RED))], [1, 2], state, context_of())
    assert len(decided) == 1


def test_empty_mask_of_a_candidate_has_no_appearance() -> None:
    """The network can predict an empty mask for a false alarm."""
    context = context_of()
    empty = np.zeros((HEIGHT, WIDTH), bool)
    state = state_of(absent(1, appearance(RED), 0.5))
    assert observe([empty], [Detection("red circle", 0.5, (0, 0, 5, 5))], state, context, context.color)[0].color is None
