# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One clean label for each box, whatever the phrases."""

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


def ask(detector: GroundingDinoDetector, frame: SceneFrame, phrases: list[str]) -> list[Detection]:
    return detector.detect(frame.color, phrases, [detector.default_threshold] * len(phrases))


def test_finds_what_is_named_where_it_is(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = {item.label: item.box for item in ask(detector, frames[0], PHRASES)}
    assert set(found) == set(PHRASES)
    for body, phrase in enumerate(PHRASES, start=1):
        assert np.abs(np.array(found[phrase]) - body_box(frames[0], body)).max() < 12, phrase


def test_labels_are_the_phrases_never_a_mixture(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """The standard post-processing returns "red star circle" here: phrases that share words and compete for one object."""
    phrases = ["red circle", "red star", "blue circle", "blue star"]
    found = ask(detector, frames[3], phrases)
    assert sorted(item.label for item in found) == ["blue star", "red circle"]


def test_one_box_for_each_object(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    for frame in frames[::15]:
        labels = [item.label for item in ask(detector, frame, PHRASES)]
        assert len(labels) == len(set(labels))


def test_absent_things_are_not_found(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    assert ask(detector, frames[0], ["green triangle"]) == []


def test_unknown_words_are_named(detector: GroundingDinoDetector) -> None:
    assert detector.check(["red mug", "shiny circle"]) == ["mug", "shiny"]
    assert detector.check(["red circle"]) == []


def test_more_phrases_than_the_network_reads(detector: GroundingDinoDetector) -> None:
    with pytest.raises(PromptError, match=r"reads at most 64.*fewer objects"):
        detector.check([f"red circle {number}" for number in range(30)])


def test_a_phrase_without_words_is_refused(detector: GroundingDinoDetector) -> None:
    with pytest.raises(PromptError, match="cannot read"):
        detector.check(["."])


def test_thresholds_are_per_phrase(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    found = detector.detect(frames[0].color, ["red circle", "blue star"], [1.0, 0.35])
    assert [item.label for item in found] == ["blue star"]


@pytest.mark.parametrize(
    ("phrases", "passes", "sizes"), [(0, 3, []), (4, 3, [4]), (5, 3, [2, 3]), (12, 3, [4, 4, 4]), (60, 3, [20, 20, 20]), (60, 1, [60])]
)
def test_long_lists_are_looked_for_in_parts(detector: GroundingDinoDetector, phrases: int, passes: int, sizes: list[int]) -> None:
    """All phrases, each once, in parts of nearly one size; never more passes over the image than allowed."""
    asking = copy(detector)
    asking.passes = passes
    parts = asking._parts(phrases)
    assert [part.stop - part.start for part in parts] == sizes
    assert [index for part in parts for index in range(phrases)[part]] == list(range(phrases))


def test_a_long_list_hides_nobody(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """In one caption of twelve phrases the scores are lower; in parts, every phrase keeps its own threshold and label."""
    others = [f"{color} {shape}" for color in ("purple", "cyan", "pink") for shape in ("cross", "heart", "triangle")]
    phrases = [*others, "red circle", "blue star"]
    at_once = copy(detector)
    at_once.passes = 1
    short = {item.label: item.score for item in detector.detect(frames[0].color, phrases[-2:], [0.3] * 2)}
    scores = [
        {item.label: item.score for item in asking.detect(frames[0].color, phrases, [0.3] * len(phrases)) if item.label in short}
        for asking in (at_once, detector)
    ]
    assert scores[1].keys() == short.keys() == {"red circle", "blue star"}
    assert sum(scores[1].values()) > sum(scores[0].values())
    strict = detector.detect(frames[0].color, phrases, [0.3] * (len(phrases) - 1) + [1.0])
    assert "blue star" not in [item.label for item in strict]


def test_no_phrases_no_work(detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    assert detector.detect(frames[0].color, [], []) == []


def test_duplicates() -> None:
    """Within a phrase half an overlap is enough to be one object; across phrases only near identity, and the better name stays."""
    boxes = [
        Detection("cup", 0.9, (0, 0, 100, 100)),
        Detection("cup", 0.8, (10, 10, 110, 110)),
        Detection("cup", 0.7, (80, 0, 180, 100)),
        Detection("mug", 0.85, (1, 1, 101, 101)),
        Detection("lid", 0.5, (0, 0, 100, 60)),
    ]
    assert [(item.label, item.score) for item in suppress_duplicates(boxes)] == [("cup", 0.9), ("cup", 0.7), ("lid", 0.5)]
    assert suppress_duplicates([]) == []
