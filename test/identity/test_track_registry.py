# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each rule by which an object keeps its id, on tracks made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.track_registry import IdentityOptions, TrackRegistry
from lang2segtrack_ros.types.results import Track, TrackStatus

Color = tuple[int, int, int]
RED: Color = (215, 40, 40)
REDDISH: Color = (200, 60, 50)
BLUE: Color = (45, 80, 215)
PHRASES = ("red circle",)


def track(track_id: int, x: int | None = 10, label: str = "red circle", predicted_iou: float = 0.9) -> Track:
    """A square of 10 pixels at column x, or nothing visible."""
    mask = np.zeros((40, 120), bool)
    if x is not None:
        mask[5:15, x : x + 10] = True
    box = None if x is None else (float(x), 5.0, float(x + 10), 15.0)
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, box, mask, predicted_iou, 3.0, 0.9, 5)


def picture(*colors: Color) -> NDArray[np.uint8]:
    """An image whose columns have these colours from left to right, with a camera's noise."""
    noise = np.random.default_rng(0).normal(0, 5, (40, 120, 3))
    columns = np.array(colors)[np.arange(120) * len(colors) // 120]
    return np.clip(columns[None] + noise, 0, 255).astype(np.uint8)


def looks(color: Color) -> Appearance | None:
    return appearance_of(picture(color), track(1).mask)


def registry(**options: float) -> TrackRegistry:
    made = TrackRegistry(IdentityOptions(**options))  # type: ignore[arg-type]
    made.add(1, "red circle", found=True)
    return made


def frame(
    identity: TrackRegistry, tracks: Sequence[Track], color: NDArray[np.uint8], elapsed_s: float, phrases: Sequence[str] = ()
) -> list[int]:
    """A finished frame, as a session tells of it."""
    over = identity.update(tracks, elapsed_s, phrases)
    identity.update_appearance(tracks, color)
    return over


def test_a_found_object_is_announced_when_it_was_found_again() -> None:
    identity = registry()
    assert not identity.is_confirmed(1)
    assert identity.record_detection({1}, [track(1)], PHRASES) == []
    assert identity.is_confirmed(1)


def test_an_object_that_is_pointed_at_is_real_at_once() -> None:
    identity = TrackRegistry()
    identity.add(7, "mine", found=False)
    assert identity.is_confirmed(7)
    assert identity.record_detection(set(), [track(7, label="mine")], ("mine",)) == [], "nor does the detector's silence remove it"
    assert identity.needs_reid == []


def test_what_is_not_found_again_was_a_false_alarm() -> None:
    identity = registry()
    for _ in range(2):  # a detector that overlooks one of two of a label may do so twice
        assert identity.record_detection(set(), [track(1)], PHRASES) == []
    assert identity.record_detection(set(), [track(1)], PHRASES) == [1]
    assert identity.false_alarms == 1


def test_looks_for_other_phrases_say_nothing() -> None:
    """A second text prompt must not cost the objects of the first their life."""
    identity = registry()
    for _ in range(20):
        assert identity.record_detection(set(), [track(1)], ("blue star",)) == []
    assert identity.needs_reid == []


def test_a_visible_object_that_is_no_longer_found_is_doubted() -> None:
    identity = registry(max_misses=3)
    identity.record_detection({1}, [track(1)], PHRASES)
    for _ in range(2):
        identity.record_detection(set(), [track(1)], PHRASES)
    assert identity.needs_reid == []
    identity.record_detection(set(), [track(1)], PHRASES)
    assert identity.needs_reid == [1]


def test_hidden_objects_are_not_expected_to_be_found() -> None:
    identity = registry(max_misses=2)
    identity.record_detection({1}, [track(1)], PHRASES)
    for _ in range(5):
        identity.record_detection(set(), [track(1, None)], PHRASES)
    assert identity.needs_reid == []


@pytest.mark.parametrize(("color", "stranger"), [(RED, False), (BLUE, True)])
def test_after_an_absence_an_object_is_recognised_by_its_looks(color: Color, stranger: bool) -> None:
    identity = registry(reid_after_s=1.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    for _ in range(11):
        frame(identity, [track(1, None)], picture(RED), 0.1)
    assert identity.needs_reid == [1]
    assert identity.failed_reid([track(1)], picture(color)) == ([1] if stranger else [])
    assert identity.needs_reid == ([1] if stranger else [])


def test_a_short_absence_is_forgiven() -> None:
    identity = registry(reid_after_s=1.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    frame(identity, [track(1, None)], picture(RED), 0.5)
    frame(identity, [track(1)], picture(RED), 0.5)
    frame(identity, [track(1, None)], picture(RED), 0.6)
    assert identity.needs_reid == []


def test_an_object_whose_looks_nobody_knows_is_trusted() -> None:
    """A mask that was never sure teaches nothing; hiding the object for ever would be worse."""
    identity = registry()
    frame(identity, [track(1, predicted_iou=0.2)], picture(RED), 0.1)
    identity.require_reid()
    assert identity.failed_reid([track(1)], picture(BLUE)) == []


def test_a_doubted_object_teaches_nothing() -> None:
    identity = registry()
    frame(identity, [track(1)], picture(RED), 0.1)
    identity.require_reid()
    for _ in range(100):
        frame(identity, [track(1)], picture(BLUE), 0.1)
    assert identity.failed_reid([track(1)], picture(BLUE)) == [1]


def test_doubt_can_be_switched_off() -> None:
    identity = registry(reid_after_s=0.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    identity.require_reid()
    frame(identity, [track(1, None)], picture(RED), 100.0)
    assert identity.needs_reid == []


def known_pair() -> TrackRegistry:
    identity = registry()
    identity.add(2, "red circle", found=True)
    frame(identity, [track(1), track(2, 80)], picture(RED, REDDISH), 0.1)
    return identity


def test_newcomers_are_settled_jointly() -> None:
    """Taken one by one, the first newcomer would take the object that suits the second better."""
    identity = known_pair()
    between, reddish = looks((206, 50, 45)), looks(REDDISH)
    assert appearance_similarity(between, reddish) > appearance_similarity(between, looks(RED)), (
        "alone, it would be taken for the second object"
    )
    again = identity.reidentify([("red circle", between), ("red circle", reddish)], {1, 2})
    assert again == {0: 1, 1: 2}
    assert identity.reidentified == 2


def test_a_newcomer_that_looks_different_or_has_another_name_is_new() -> None:
    identity = known_pair()
    assert identity.reidentify([("red circle", looks(BLUE))], {1, 2}) == {}
    assert identity.reidentify([("blue circle", looks(RED))], {1, 2}) == {}
    assert identity.reidentify([("red circle", looks(RED))], set()) == {}, "a visible object cannot return"


def test_two_tracks_on_the_same_pixels_become_one() -> None:
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", found=True)
    for _ in range(2):
        assert frame(identity, [track(1), track(2, 11)], picture(RED), 0.1) == []
    assert frame(identity, [track(1), track(2, 11)], picture(RED), 0.1) == [2], "the older id stays"
    assert identity.merged == 1


def test_objects_that_pass_each_other_stay_two() -> None:
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", found=True)
    for x in (14, 11, 11, 14, 11):  # together for two frames, then apart
        assert frame(identity, [track(1), track(2, x)], picture(RED), 0.1) == []


@pytest.mark.parametrize(("scores", "suspected"), [((0.9, 0.6), 2), ((0.6, 0.9), 1)])
def test_objects_that_were_seen_apart_are_two(scores: tuple[float, float], suspected: int) -> None:
    """One has slipped onto the other: neither goes for good, and the less sure one has to be found again."""
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", found=True)
    for _ in range(6):
        assert frame(identity, [track(1), track(2, 60)], picture(RED), 0.1, PHRASES) == []
    together = [replace(track(number), score=score) for number, score in zip((1, 2), scores)]
    for _ in range(3):
        assert frame(identity, together, picture(RED), 0.1, PHRASES) == []
    assert identity.needs_reid == [suspected]
    assert identity.failed_reid(together, picture(RED)) == [suspected], "looking alike is not enough"
    identity.record_detection({1, 2}, together, PHRASES)
    assert identity.needs_reid == []


def test_objects_that_nobody_looks_for_stay_as_they_are() -> None:
    """Nothing would find the one that has slipped again."""
    identity = TrackRegistry(IdentityOptions(merge_frames=3))
    for number in (1, 2):
        identity.add(number, "mine", found=False)
    apart, together = [track(1, label="mine"), track(2, 60, label="mine")], [track(1, label="mine"), track(2, label="mine")]
    for tracks in (*[apart] * 6, *[together] * 6):
        assert frame(identity, tracks, picture(RED), 0.1, PHRASES) == []
    assert identity.needs_reid == []


def test_different_labels_are_never_merged() -> None:
    identity = registry(merge_frames=1)
    identity.add(2, "red thing", found=True)
    assert frame(identity, [track(1), track(2, label="red thing")], picture(RED), 0.1) == []


def test_a_loose_fit_counts_when_it_lasts() -> None:
    identity = registry()
    assert [identity.loose_fits(1, overlap) for overlap in (0.4, 0.9, 0.4, 0.4, 0.4)] == [False, False, False, True, False]


def test_a_track_that_slips_onto_another_colour_is_doubted() -> None:
    """A single odd frame (a flash, a hand) is forgiven, three in a row are not; what is learnt stays what it was."""
    identity = registry()
    frame(identity, [track(1)], picture(RED), 0.1)
    for color in (BLUE, BLUE, RED, BLUE, BLUE):
        frame(identity, [track(1)], picture(color), 0.1)
    assert identity.needs_reid == []
    frame(identity, [track(1)], picture(BLUE), 0.1)
    assert identity.needs_reid == [1]
    assert identity.failed_reid([track(1)], picture(BLUE)) == [1]
    assert identity.failed_reid([track(1)], picture(RED)) == []
