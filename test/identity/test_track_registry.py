# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each identity rule on synthetic tracks."""

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
    """Return a track with a square of 10 pixels at column x, or without a mask for None."""
    mask = np.zeros((40, 120), bool)
    if x is not None:
        mask[5:15, x : x + 10] = True
    box = None if x is None else (float(x), 5.0, float(x + 10), 15.0)
    return Track(track_id, label, TrackStatus.TRACKED, 0.9, box, mask, predicted_iou, 3.0, 0.9, 5)


def picture(*colors: Color) -> NDArray[np.uint8]:
    """Return an image with vertical stripes of these colors from left to right, and with camera noise."""
    noise = np.random.default_rng(0).normal(0, 5, (40, 120, 3))
    columns = np.array(colors)[np.arange(120) * len(colors) // 120]
    return np.clip(columns[None] + noise, 0, 255).astype(np.uint8)


def appearance(color: Color) -> Appearance | None:
    return appearance_of(picture(color), track(1).mask)


def registry(**options: float) -> TrackRegistry:
    identity = TrackRegistry(IdentityOptions(**options))  # type: ignore[arg-type]
    identity.add(1, "red circle", from_detector=True)
    return identity


def frame(
    identity: TrackRegistry, tracks: Sequence[Track], color: NDArray[np.uint8], elapsed_s: float, phrases: Sequence[str] = ()
) -> list[int]:
    """Process a finished frame as a session does, and return the duplicates."""
    duplicates = identity.update(tracks, elapsed_s, phrases)
    identity.update_appearance(tracks, color)
    return duplicates


def test_second_detection_confirms_an_object() -> None:
    identity = registry()
    assert not identity.is_confirmed(1)
    assert identity.record_detection({1}, [track(1)], PHRASES) == []
    assert identity.is_confirmed(1)


def test_object_of_a_user_is_confirmed_immediately() -> None:
    identity = TrackRegistry()
    identity.add(7, "mine", from_detector=False)
    assert identity.is_confirmed(7)
    assert identity.record_detection(set(), [track(7, label="mine")], ("mine",)) == [], "missed detections must not remove it"
    assert identity.needs_reid == []


def test_tentative_object_without_further_detections_is_a_false_alarm() -> None:
    identity = registry()
    for _ in range(2):  # a detector that misses one of two objects of a label may miss it twice
        assert identity.record_detection(set(), [track(1)], PHRASES) == []
    assert identity.record_detection(set(), [track(1)], PHRASES) == [1]
    assert identity.false_alarms == 1


def test_detections_of_other_phrases_count_no_misses() -> None:
    """A second text prompt must not remove the objects of the first one."""
    identity = registry()
    for _ in range(20):
        assert identity.record_detection(set(), [track(1)], ("blue star",)) == []
    assert identity.needs_reid == []


def test_missed_detections_of_a_visible_object_require_reid() -> None:
    identity = registry(max_misses=3)
    identity.record_detection({1}, [track(1)], PHRASES)
    for _ in range(2):
        identity.record_detection(set(), [track(1)], PHRASES)
    assert identity.needs_reid == []
    identity.record_detection(set(), [track(1)], PHRASES)
    assert identity.needs_reid == [1]


def test_hidden_object_counts_no_misses() -> None:
    identity = registry(max_misses=2)
    identity.record_detection({1}, [track(1)], PHRASES)
    for _ in range(5):
        identity.record_detection(set(), [track(1, None)], PHRASES)
    assert identity.needs_reid == []


@pytest.mark.parametrize(("color", "fails"), [(RED, False), (BLUE, True)])
def test_appearance_reidentifies_an_object_after_absence(color: Color, fails: bool) -> None:
    identity = registry(reid_after_s=1.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    for _ in range(11):
        frame(identity, [track(1, None)], picture(RED), 0.1)
    assert identity.needs_reid == [1]
    assert identity.failed_reid([track(1)], picture(color)) == ([1] if fails else [])
    assert identity.needs_reid == ([1] if fails else [])


def test_short_absence_needs_no_reid() -> None:
    identity = registry(reid_after_s=1.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    frame(identity, [track(1, None)], picture(RED), 0.5)
    frame(identity, [track(1)], picture(RED), 0.5)
    frame(identity, [track(1, None)], picture(RED), 0.6)
    assert identity.needs_reid == []


def test_object_without_appearance_passes_reid() -> None:
    """Uncertain masks do not update the appearance. Without an appearance, the object would otherwise stay hidden forever."""
    identity = registry()
    frame(identity, [track(1, predicted_iou=0.2)], picture(RED), 0.1)
    identity.require_reid()
    assert identity.failed_reid([track(1)], picture(BLUE)) == []


def test_object_in_need_of_reid_does_not_update_its_appearance() -> None:
    identity = registry()
    frame(identity, [track(1)], picture(RED), 0.1)
    identity.require_reid()
    for _ in range(100):
        frame(identity, [track(1)], picture(BLUE), 0.1)
    assert identity.failed_reid([track(1)], picture(BLUE)) == [1]


def test_reid_can_be_disabled() -> None:
    identity = registry(reid_after_s=0.0)
    frame(identity, [track(1)], picture(RED), 0.1)
    identity.require_reid()
    frame(identity, [track(1, None)], picture(RED), 100.0)
    assert identity.needs_reid == []


def registry_of_pair() -> TrackRegistry:
    identity = registry()
    identity.add(2, "red circle", from_detector=True)
    frame(identity, [track(1), track(2, 80)], picture(RED, REDDISH), 0.1)
    return identity


def test_candidates_are_assigned_jointly() -> None:
    """In sequence, the first candidate would get the object that is more similar to the second candidate."""
    identity = registry_of_pair()
    between, reddish = appearance((206, 50, 45)), appearance(REDDISH)
    assert appearance_similarity(between, reddish) > appearance_similarity(between, appearance(RED)), (
        "alone, it would be assigned to the second object"
    )
    assigned = identity.reidentify([("red circle", between), ("red circle", reddish)], {1, 2})
    assert assigned == {0: 1, 1: 2}
    assert identity.reidentified == 2


def test_different_appearance_or_label_is_not_reidentified() -> None:
    identity = registry_of_pair()
    assert identity.reidentify([("red circle", appearance(BLUE))], {1, 2}) == {}
    assert identity.reidentify([("blue circle", appearance(RED))], {1, 2}) == {}
    assert identity.reidentify([("red circle", appearance(RED))], set()) == {}, "a visible object cannot be re-identified"


def test_tracks_on_the_same_pixels_are_merged() -> None:
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", from_detector=True)
    for _ in range(2):
        assert frame(identity, [track(1), track(2, 11)], picture(RED), 0.1) == []
    assert frame(identity, [track(1), track(2, 11)], picture(RED), 0.1) == [2], "the older id stays"
    assert identity.merged == 1


def test_passing_objects_are_not_merged() -> None:
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", from_detector=True)
    for x in (14, 11, 11, 14, 11):  # together for two frames, then apart
        assert frame(identity, [track(1), track(2, x)], picture(RED), 0.1) == []


@pytest.mark.parametrize(("scores", "suspected"), [((0.9, 0.6), 2), ((0.6, 0.9), 1)])
def test_tracks_seen_apart_are_not_merged(scores: tuple[float, float], suspected: int) -> None:
    """One track has moved to the other object. Both tracks stay, and the less certain one needs a new detection."""
    identity = registry(merge_frames=3)
    identity.add(2, "red circle", from_detector=True)
    for _ in range(6):
        assert frame(identity, [track(1), track(2, 60)], picture(RED), 0.1, PHRASES) == []
    together = [replace(track(number), score=score) for number, score in zip((1, 2), scores)]
    for _ in range(3):
        assert frame(identity, together, picture(RED), 0.1, PHRASES) == []
    assert identity.needs_reid == [suspected]
    assert identity.failed_reid(together, picture(RED)) == [suspected], "a similar appearance is not enough"
    identity.record_detection({1, 2}, together, PHRASES)
    assert identity.needs_reid == []


def test_id_switch_is_not_suspected_without_detection_of_the_label() -> None:
    """No detection could re-identify the track that has moved."""
    identity = TrackRegistry(IdentityOptions(merge_frames=3))
    for number in (1, 2):
        identity.add(number, "mine", from_detector=False)
    apart, together = [track(1, label="mine"), track(2, 60, label="mine")], [track(1, label="mine"), track(2, label="mine")]
    for tracks in (*[apart] * 6, *[together] * 6):
        assert frame(identity, tracks, picture(RED), 0.1, PHRASES) == []
    assert identity.needs_reid == []


def test_tracks_of_different_labels_are_not_merged() -> None:
    identity = registry(merge_frames=1)
    identity.add(2, "red thing", from_detector=True)
    assert frame(identity, [track(1), track(2, label="red thing")], picture(RED), 0.1) == []


def test_loose_fit_counts_twice_in_a_row() -> None:
    identity = registry()
    assert [identity.record_fit(1, iou) for iou in (0.4, 0.9, 0.4, 0.4, 0.4)] == [False, False, False, True, False]


def test_track_on_another_color_needs_reid() -> None:
    """One deviating frame, such as a flash or a hand, is tolerated, but not three in a row. The stored appearance stays unchanged."""
    identity = registry()
    frame(identity, [track(1)], picture(RED), 0.1)
    for color in (BLUE, BLUE, RED, BLUE, BLUE):
        frame(identity, [track(1)], picture(color), 0.1)
    assert identity.needs_reid == []
    frame(identity, [track(1)], picture(BLUE), 0.1)
    assert identity.needs_reid == [1]
    assert identity.failed_reid([track(1)], picture(BLUE)) == [1]
    assert identity.failed_reid([track(1)], picture(RED)) == []
