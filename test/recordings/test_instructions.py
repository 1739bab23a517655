# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions in a recording: answered once, on the first image that shows what they mean."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.recordings.forward import ForwardState, PromptSchedule, Scheduled, track_forward
from lang2segtrack_ros.recordings.runs import OfflineError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from test.conftest import body_box

CIRCLE = InstructionPrompt("the circle left of the star")


class LateStar:
    """A detector of true boxes that misses the star on the first images."""

    name = "late"
    default_threshold = 0.5

    def __init__(self, frames: list[SceneFrame], first: int) -> None:
        self.frames, self.first, self.images = frames, first, [0]

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        number = next(number for number, shot in enumerate(self.frames) if shot.color is color)
        self.images.append(number)
        bodies = {"circle": 1} | ({"star": 2} if number >= self.first else {})
        return [Detection(name, 0.9, body_box(self.frames[number], bodies[name])) for name in phrases if name in bodies]


def run(session: Session, frames: list[SceneFrame], state: ForwardState) -> list[int]:
    """Track through frames. Return the number of tracks on each."""
    steps = track_forward(session, [Frame(shot.color, index) for index, shot in enumerate(frames)], state)
    return [len(step.result.tracks) for step in steps]


def test_answer_waits_for_the_first_image_that_shows_it(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The star appears on image 2; with a detection on every third image, the answer comes on image 4."""
    detector = LateStar(frames, 2)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
    state = ForwardState(PromptSchedule([Scheduled(1, CIRCLE)]))
    state = pickle.loads(pickle.dumps(state))  # a checkpoint holds the schedule
    assert run(session, frames[:6], state) == [0, 0, 0, 0, 1, 1]
    assert sorted({*detector.images}) == [0, 1, 4], "an answered instruction costs nothing more"
    answers = state.schedule.instructions.answers
    assert answers[0] == '"the circle left of the star" on image 4:'
    assert "left of" in answers[-1]
    state.check_outcome([Scheduled(1, CIRCLE)])


def test_unanswered_instruction_ends_with_its_reason(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The user sees why nothing was tracked."""
    state = ForwardState(PromptSchedule([Scheduled(0, CIRCLE)]))
    run(Session(segmenter, LateStar(frames, 99)), frames[:2], state)
    with pytest.raises(OfflineError, match='is not answered: "circle": left of "star" is not clear: no "star" was detected'):
        state.check_outcome([Scheduled(0, CIRCLE)])


def test_unanswered_instruction_beside_others_is_a_warning(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """The work for the other prompts is not lost."""
    prompts = [Scheduled(0, CIRCLE), Scheduled(0, InstructionPrompt("a circle"))]
    state = ForwardState(PromptSchedule(prompts))
    assert run(Session(segmenter, LateStar(frames, 99)), frames[:2], state) == [1, 1]
    state.check_outcome(prompts)
    assert "is not answered" in caplog.text


@pytest.mark.parametrize(("detector", "message"), [(None, "there is no detector for instructions"), ("late", "objects of any kind")])
def test_instruction_that_no_image_can_answer_ends_the_run(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], detector: str | None, message: str
) -> None:
    """It fails on the first image, not after hours."""
    session = Session(segmenter, LateStar(frames, 0) if detector else None)
    with pytest.raises(OfflineError, match=message):
        run(session, frames[:1], ForwardState(PromptSchedule([Scheduled(0, InstructionPrompt("everything"))])))
