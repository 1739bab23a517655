# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Features and geometry decide among objects of one color. Colors alone decide whether a mask can show an object at all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.identity.feature_appearance import FeatureModel
from lang2segtrack_ros.identity.look_alikes import MAX_WAIT_FRAMES, Sample, compare, explain, must_wait, samples_of
from lang2segtrack_ros.identity.track_state import TrackState
from test.identity.synthetic import BLUE, RED, appearance, by_id, detected, observation, picture, track

SMALL, LARGE = observation(-0.5), observation(0.5)
CUT = observation(geometry=float("nan"))


def red(track_id: int, features: np.ndarray | None = SMALL) -> TrackState:
    """Return a confirmed red object with this appearance."""
    model = None if features is None else FeatureModel.of(features)
    return replace(detected(track_id, confirmed=True), appearance=appearance(RED), features=model)


@pytest.mark.parametrize(
    ("kind", "features", "color", "allowed"),
    [
        ("color", LARGE, RED, True),
        ("both", LARGE, RED, True),
        ("features", LARGE, RED, False),
        ("features", SMALL, RED, True),
        ("features", SMALL, BLUE, True),
        ("both", SMALL, BLUE, False),
        ("both", None, RED, True),
    ],
)
def test_kind_of_appearance_decides_whether_a_mask_can_show_an_object(
    kind: str, features: np.ndarray | None, color: tuple[int, int, int], allowed: bool
) -> None:
    assert compare([Sample(appearance(color), features)], [red(1)], kind, 0.8)[1].item() == allowed


def test_object_without_features_is_compared_by_color() -> None:
    """Objects from before a change of the option, and objects without a reliable mask, have no features."""
    similarities, allowed = compare([Sample(appearance(RED), LARGE)], [red(1, None)], "both", 0.8)
    assert similarities.item() == pytest.approx(1.0, abs=1e-3)
    assert allowed.item()


def test_masks_are_explained_jointly() -> None:
    """Alone, both masks would show the large object."""
    samples = {1: Sample(appearance(RED), observation(0.1)), 2: Sample(appearance(RED), observation(0.3))}
    states = by_id(red(1, LARGE), red(2, SMALL))
    assert [explain({key: sample}, states, "both", 0.8).objects[key] for key, sample in samples.items()] == [1, 1]
    assert explain(samples, states, "both", 0.8).objects == {1: 2, 2: 1}


def test_mask_of_another_color_shows_no_object() -> None:
    assert explain({1: Sample(appearance(BLUE), SMALL)}, by_id(red(1)), "both", 0.8).objects == {}
    assert explain({}, by_id(red(1)), "both", 0.8).objects == {}
    assert explain({1: Sample(appearance(RED), SMALL)}, {}, "both", 0.8).objects == {}


@pytest.mark.parametrize(
    ("first", "second", "certain"), [(LARGE, CUT, True), (LARGE, SMALL, True), (CUT, CUT, False), (SMALL, LARGE, False)]
)
def test_masks_move_only_with_certainty(first: np.ndarray, second: np.ndarray, certain: bool) -> None:
    """One whole mask is enough, because the other mask then belongs to the other object."""
    samples = {1: Sample(appearance(RED), first), 2: Sample(appearance(RED), second)}
    explanation = explain(samples, by_id(red(1, SMALL), red(2, LARGE)), "both", 0.8)
    assert explanation.is_certain(samples) == certain
    assert explanation.moved == ({1: 2, 2: 1} if certain else {})


def test_masks_with_a_small_gain_do_not_move() -> None:
    """Features vary from image to image."""
    samples = {1: Sample(appearance(RED), observation(0.02))}
    explanation = explain(samples, by_id(red(1, SMALL), red(2, LARGE)), "both", 0.8)
    assert explanation.moved == {1: 2}
    assert not explanation.is_certain(samples)


def test_cut_mask_waits_if_two_objects_come_into_question() -> None:
    cut, whole = Sample(appearance(RED), CUT), Sample(appearance(RED), SMALL)
    both = [red(1, SMALL), red(2, LARGE)]
    assert must_wait(cut, both, 7)
    assert not must_wait(whole, both, 7), "the geometry is known"
    assert not must_wait(cut, both[:1], 7), "there is only one object"
    assert not must_wait(cut, [red(1, SMALL), red(2, CUT)], 7), "the geometry of one object is unknown"


def test_waiting_ends() -> None:
    """An object that stays behind the edge of the image would otherwise never return."""
    cut, both = Sample(appearance(RED), CUT), [red(1, SMALL).waiting(7), red(2, LARGE).waiting(9)]
    assert must_wait(cut, both, 6 + MAX_WAIT_FRAMES)
    assert not must_wait(cut, both, 7 + MAX_WAIT_FRAMES)
    assert both[0].waiting(8).waiting_since == 7, "the first frame counts"
    assert both[0].verified().waiting_since is None


@pytest.mark.parametrize(("x", "other", "is_cut"), [(20, 50, False), (20, 30, True), (20, 32, False), (0, 50, True), (20, 21, False)])
def test_edge_of_the_image_and_other_objects_cut_a_mask(x: int, other: int, is_cut: bool) -> None:
    """Boxes that touch may belong to objects that cover each other. Nearly equal boxes belong to two tracks on one object."""
    items = [track(1, x), track(2, other)]
    boxes = [item.box for item in items if item.box is not None]

    def pool(masks: object) -> np.ndarray:
        return np.ones((1, 18), np.float32)

    assert samples_of([items[0].mask], boxes[:1], picture(RED), pool, boxes)[0].is_cut == is_cut
    assert samples_of([items[0].mask], boxes[:1], picture(RED), None, boxes)[0].features is None
