# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Association is one-to-one, prefers equal labels, and skips tracks that are not visible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.association import (
    box_iou,
    find_duplicate,
    is_within_reach,
    mask_iou,
    match_detections,
    track_iou,
)
from test.identity.synthetic import detected
from test.io.test_rendering import make_track


def mask_of(x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    mask = np.zeros((200, 200), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_each_track_matches_one_detection() -> None:
    tracks = [make_track(mask_of(0, 0, 100, 100), 1), make_track(mask_of(20, 0, 120, 100), 2)]
    detections = [
        Detection("cup", 0.9, (18, 0, 118, 100)),
        Detection("cup", 0.8, (22, 0, 122, 100)),
        Detection("cup", 0.7, (150, 150, 190, 190)),
    ]
    matched, new = match_detections(detections, tracks, {})
    assert sorted(matched.values()) == [1, 2], "greedy matching would assign track 2 to both detections"
    assert new == [2]


def test_track_iou_equals_mask_iou() -> None:
    """The pairs of tracks are apart, adjacent, nested or not visible."""
    boxes = [(0, 0, 100, 100), (20, 30, 120, 200), (40, 40, 50, 50), (100, 0, 200, 100), (150, 150, 160, 160)]
    holed = mask_of(*boxes[0])
    holed[10:30, 10:90] = False
    tracks = [make_track(mask, 1) for mask in (*(mask_of(*box) for box in boxes), holed)]
    for one in tracks:
        for other in tracks:
            assert track_iou(one, other) == mask_iou(one.mask, other.mask)
    assert track_iou(tracks[0], replace(tracks[0], box=None)) == 0.0


def test_equal_label_beats_higher_iou() -> None:
    tracks = [make_track(mask_of(0, 0, 100, 100), 1, label="cup"), make_track(mask_of(0, 0, 100, 90), 2, label="lid")]
    matched, _ = match_detections([Detection("lid", 0.9, (0, 0, 100, 99))], tracks, {})
    assert matched == {0: 2}


@pytest.mark.parametrize(("label", "is_new"), [("cup", False), ("lid", True)])
def test_different_label_needs_higher_iou(label: str, is_new: bool) -> None:
    """A blue star in front of a red circle must not match the red circle."""
    _, new = match_detections([Detection(label, 0.9, (0, 0, 100, 50))], [make_track(mask_of(0, 0, 100, 100), label="cup")], {})
    assert new == ([0] if is_new else [])


@pytest.mark.parametrize(("predicted_iou", "label", "is_new"), [(0.4, "cup", False), (0.9, "cup", True), (0.4, "lid", True)])
def test_uncertain_remnant_matches_detection_of_its_object(predicted_iou: float, label: str, is_new: bool) -> None:
    """A confident mask inside a larger box is a small object in front. An uncertain mask is a remnant of the larger object."""
    remnant = replace(make_track(mask_of(60, 60, 70, 80), label="cup"), predicted_iou=predicted_iou)
    _, new = match_detections([Detection(label, 0.9, (50, 50, 100, 100))], [remnant], {})
    assert new == ([0] if is_new else [])


@pytest.mark.parametrize(
    ("last_area", "label", "is_new"),
    [(900.0, "cup", False), (1600.0, "cup", False), (900.0, "lid", True), (10_000.0, "cup", True), (200.0, "cup", True)],
)
def test_overgrown_mask_matches_detection_of_its_object(last_area: float, label: str, is_new: bool) -> None:
    """A detection of 30 x 30 lies inside a mask of 100 x 100. The area of the last detection decides whether they match.

    The detection is another object in front if the last area equals that of the mask, or if it is far smaller than the detection.
    """
    overgrown = make_track(mask_of(0, 0, 100, 100), 1, label="cup")
    _, new = match_detections([Detection(label, 0.9, (5, 5, 35, 35))], [overgrown], {1: last_area})
    assert new == ([0] if is_new else [])


def test_only_one_of_two_detections_matches_overgrown_mask() -> None:
    overgrown = make_track(mask_of(0, 0, 100, 100), 1, label="cup")
    detections = [Detection("cup", 0.9, (5, 5, 35, 35)), Detection("cup", 0.9, (60, 60, 95, 95))]
    matched, new = match_detections(detections, [overgrown], {1: 1000.0})
    assert (len(matched), len(new)) == (1, 1)


def test_hidden_tracks_and_empty_lists_have_no_match() -> None:
    hidden = make_track(np.zeros((200, 200), bool))
    assert match_detections([Detection("cup", 0.9, (0, 0, 9, 9))], [hidden], {}) == ({}, [0])
    assert match_detections([], [hidden], {}) == ({}, [])


def test_find_duplicate_returns_track_with_highest_iou() -> None:
    masks = {4: mask_of(0, 0, 100, 100), 5: mask_of(100, 100, 200, 200)}
    assert find_duplicate(mask_of(110, 110, 200, 200), masks) == 5
    assert find_duplicate(mask_of(50, 50, 150, 150), masks) is None
    assert find_duplicate(mask_of(0, 0, 5, 5), {}) is None
    assert find_duplicate(mask_of(0, 0, 0, 0), masks) is None, "an empty mask has no duplicate"


def test_box_iou_of_boxes_without_area_is_zero() -> None:
    boxes = np.array([[0.0, 0, 0, 0], [0, 0, 10, 10]])
    assert box_iou(boxes, boxes).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize(("x", "misses", "within"), [(0, 0, True), (14, 0, True), (15, 0, False), (28, 1, True), (29, 1, False)])
def test_object_moves_by_its_size_between_two_detections(x: int, misses: int, within: bool) -> None:
    """The diagonal of its last box is 14.1 pixels. Each missed detection gives it the same distance again."""
    state = replace(detected(1), detected_box=(0.0, 0.0, 10.0, 10.0), misses=misses)
    assert is_within_reach((x, 0, x + 10, 10), state) == within


def test_object_without_a_detection_is_out_of_reach() -> None:
    assert not is_within_reach((0, 0, 10, 10), detected(1))
