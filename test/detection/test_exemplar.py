# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Matchers are called in one way: each exemplar is encoded once, refused alone, and its detections are checked."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, DetectorError, ExemplarDetector
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.detection.schedule import DetectionSchedule
from lang2segtrack_ros.detection.worker import DetectionRequest, run_detection
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.rle import Box

COLOR = np.zeros((40, 60, 3), np.uint8)
BOX = (10.0, 10.0, 20.0, 20.0)
EMPTY = (0.0, 0.0, 5.0, 5.0)


class Matcher:
    """A detector that finds each exemplar at its own box, and refuses the box `EMPTY`."""

    name, default_threshold, default_exemplar_threshold = "matcher", 0.3, 0.6

    def __init__(self, text_score: float = 0.0, label: str = "") -> None:
        self.text_score, self.label = text_score, label
        self.encoded = 0

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        return [Detection(phrases[0], self.text_score, BOX)] if self.text_score else []

    def encode_exemplar(self, color: NDArray[np.uint8], box: Box) -> Box:
        self.encoded += 1
        if box == EMPTY:
            raise PromptError("the box shows no object")
        return box

    def detect_exemplar(
        self, color: NDArray[np.uint8], exemplars: Sequence[Box], labels: Sequence[str], thresholds: Sequence[float]
    ) -> list[Detection]:
        return [Detection(self.label or label, 0.8, box) for box, label in zip(exemplars, labels)]


def exemplar(box: Box = BOX, label: str = "cup") -> ExemplarPrompt:
    return ExemplarPrompt(box, label, COLOR)


def test_a_detector_with_the_parts_takes_exemplars() -> None:
    """The ability is a set of parts, so that a plug-in has it without a base class."""
    assert isinstance(Matcher(), ExemplarDetector)


def test_each_exemplar_is_encoded_once_and_ends_with_its_prompt() -> None:
    """An encoding costs a pass of a network on each detection otherwise, and must not outlive the prompt in a long stream."""
    matcher, prompt = Matcher(), exemplar()
    finder = ExemplarFinder(matcher)
    for _ in range(3):
        (found,) = finder.find(COLOR, [prompt], [0.5]).detections
    assert (found.label, found.box, matcher.encoded) == ("cup", BOX, 1)
    del prompt
    gc.collect()
    assert len(finder._encodings) == 0


def test_a_checkpoint_encodes_the_exemplars_again() -> None:
    """Encodings may be tensors of a device that the resumed run lacks."""
    finder = ExemplarFinder(Matcher())
    finder.find(COLOR, [exemplar()], [0.5])
    restored = pickle.loads(pickle.dumps(finder))
    assert len(restored.find(COLOR, [exemplar()], [0.5]).detections) == 1
    assert restored.matcher.encoded == 2


def test_a_refused_exemplar_leaves_the_others() -> None:
    """The box of one user must not cost the detections of another one."""
    bad, good = exemplar(EMPTY), exemplar(label="mug")
    matches = ExemplarFinder(Matcher()).find(COLOR, [bad, good], [0.5, 0.5])
    assert [item.label for item in matches.detections] == ["mug"]
    assert matches.refused == ((bad, "the box shows no object"),)


def test_results_of_a_matcher_are_checked() -> None:
    """A label that nobody asked for would start objects that no prompt names."""
    with pytest.raises(DetectorError, match='detector "matcher" returned the label'):
        ExemplarFinder(Matcher(label="plate")).find(COLOR, [exemplar()], [0.5])


@pytest.mark.parametrize(("text_score", "label"), [(0.9, "red mug"), (0.7, "cup")])
def test_one_object_of_a_phrase_and_an_exemplar_is_detected_once(text_score: float, label: str) -> None:
    """Two detections of one object would become two tracks. The higher score gives the label."""
    request = DetectionRequest(0, COLOR, ("red mug",), (0.3,), 0.3, (exemplar(),), (0.5,), 0.6)
    matcher = Matcher(text_score)
    (found,) = run_detection(matcher, request, ExemplarFinder(matcher)).detections
    assert found.label == label
    assert (request.labels, request.default_threshold_of("red mug"), request.default_threshold_of("cup")) == (("red mug", "cup"), 0.3, 0.6)


def test_exemplars_are_due_like_texts_once_they_have_an_image() -> None:
    """An exemplar on the next image has nothing to compare before that image. Its threshold is that of the matcher."""
    waiting, matcher = ExemplarPrompt(BOX, "cup", interval=2), Matcher()
    schedule, prompt_id = DetectionSchedule().naming(waiting).added(waiting, 0)
    handle = PromptHandle(waiting, prompt_id)
    assert schedule.after_frame().next_query(None, {handle: waiting}, 5, (), matcher)[1] is None
    prompt = waiting.on(COLOR)
    schedule = schedule.with_exemplar(prompt, prompt_id)
    assert schedule.named == {"cup": prompt}
    schedule, query = schedule.next_query(None, {handle: prompt}, 5, (), matcher)
    assert query is not None
    assert (query.exemplars, query.thresholds, query.handles) == ({prompt: 0.6}, {}, (handle,))
    due = []
    for _ in range(4):
        schedule, query = schedule.after_frame().next_query(None, {}, 5, (), matcher)
        due.append(query is not None)
    assert due == [False, True, False, True]
    assert schedule.without(prompt).prompts == {}


def test_exemplars_do_not_count_against_the_phrases_of_the_detector() -> None:
    """A detector that reads one phrase at once still takes all exemplars."""

    class Narrow(Matcher):
        def check(self, phrases: Sequence[str]) -> list[str]:
            if len(phrases) > 1:
                raise PromptError("at most 1 phrase")
            return []

    handles = {PromptHandle(prompt): prompt for prompt in (TextPrompt("pen"), exemplar(), TextPrompt("hat"), exemplar(label="mug"))}
    _, query = DetectionSchedule().next_query(Narrow(), handles, 5, (), Narrow())
    assert query is not None
    assert ([*query.thresholds], [prompt.label for prompt in query.exemplars]) == (["pen"], ["cup", "mug"])
