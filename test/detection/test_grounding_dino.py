# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Grounding DINO gives exactly one label to each box for any list of phrases."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection, suppress_duplicates
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.prompts import PromptError
from test.conftest import body_box

PHRASES = ["red circle", "blue star", "yellow square", "purple cross"]


def detect(detector: GroundingDinoDetector, frame: SceneFrame, phrases: list[str]) -> list[Detection]:
    """Detect phrases on a frame with the default threshold."""
    return detector.detect(frame.color, phrases, [detector.default_threshold] * len(phrases))


def test_named_objects_are_found_at_their_boxes(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = {item.label: item.box for item in detect(detector, frames[0], PHRASES)}
    assert set(found) == set(PHRASES)
    for body, phrase in enumerate(PHRASES, start=1):
        assert np.abs(np.array(found[phrase]) - body_box(frames[0], body)).max() < 12, phrase


def test_each_label_is_one_requested_phrase(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Phrases that share words compete for one object. The standard postprocessing returns "red star circle" here."""
    phrases = ["red circle", "red star", "blue circle", "blue star"]
    found = detect(detector, frames[3], phrases)
    assert sorted(item.label for item in found) == ["blue star", "red circle"]


def test_each_object_has_one_box(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    for frame in frames[::15]:
        labels = [item.label for item in detect(detector, frame, PHRASES)]
        assert len(labels) == len(set(labels))


def test_absent_objects_are_not_found(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    assert detect(detector, frames[0], ["green triangle"]) == []


def test_unknown_words_are_reported(detector: GroundingDinoDetector) -> None:
    assert detector.check(["red mug", "shiny circle"]) == ["mug", "shiny"]
    assert detector.check(["red circle"]) == []


def test_too_many_phrases_are_refused(detector: GroundingDinoDetector) -> None:
    with pytest.raises(PromptError, match=r"reads at most 64.*fewer objects"):
        detector.check([f"red circle {number}" for number in range(30)])


def test_phrase_without_words_is_refused(detector: GroundingDinoDetector) -> None:
    with pytest.raises(PromptError, match="cannot read"):
        detector.check(["."])


def test_each_phrase_has_its_own_threshold(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = detector.detect(frames[0].color, ["red circle", "blue star"], [1.0, 0.35])
    assert [item.label for item in found] == ["blue star"]


@pytest.mark.parametrize(
    ("phrases", "passes", "sizes"), [(0, 3, []), (4, 3, [4]), (5, 3, [2, 3]), (12, 3, [4, 4, 4]), (60, 3, [20, 20, 20]), (60, 1, [60])]
)
def test_long_lists_are_split_into_passes(detector: GroundingDinoDetector, phrases: int, passes: int, sizes: list[int]) -> None:
    """The passes have nearly equal sizes and contain each phrase once. Their number stays within the limit."""
    limited = copy(detector)
    limited.passes = passes
    parts = limited._split_phrases(phrases)
    assert [part.stop - part.start for part in parts] == sizes
    assert [index for part in parts for index in range(phrases)[part]] == list(range(phrases))


def test_splitting_a_long_list_keeps_scores_high(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """One caption of twelve phrases gives lower scores. After the split, each phrase keeps its own threshold and label."""
    others = [f"{color} {shape}" for color in ("purple", "cyan", "pink") for shape in ("cross", "heart", "triangle")]
    phrases = [*others, "red circle", "blue star"]
    single_pass = copy(detector)
    single_pass.passes = 1
    short = {item.label: item.score for item in detector.detect(frames[0].color, phrases[-2:], [0.3] * 2)}
    scores = [
        {item.label: item.score for item in variant.detect(frames[0].color, phrases, [0.3] * len(phrases)) if item.label in short}
        for variant in (single_pass, detector)
    ]
    assert scores[1].keys() == short.keys() == {"red circle", "blue star"}
    assert sum(scores[1].values()) > sum(scores[0].values())
    strict = detector.detect(frames[0].color, phrases, [0.3] * (len(phrases) - 1) + [1.0])
    assert "blue star" not in [item.label for item in strict]


def test_no_phrases_give_no_detections(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    assert detector.detect(frames[0].color, [], []) == []


def test_duplicates_are_suppressed_within_and_across_phrases() -> None:
    """Boxes of one phrase merge above IoU 0.5. Boxes of different phrases merge above 0.8, and the higher score gives the label."""
    boxes = [
        Detection("cup", 0.9, (0, 0, 100, 100)),
        Detection("cup", 0.8, (10, 10, 110, 110)),
        Detection("cup", 0.7, (80, 0, 180, 100)),
        Detection("mug", 0.85, (1, 1, 101, 101)),
        Detection("lid", 0.5, (0, 0, 100, 60)),
    ]
    assert [(item.label, item.score) for item in suppress_duplicates(boxes)] == [("cup", 0.9), ("cup", 0.7), ("lid", 0.5)]
    assert suppress_duplicates([]) == []
