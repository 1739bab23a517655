# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a forward pass names what was not finished, and refuses only a run without any object."""

from __future__ import annotations

import logging

import pytest

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.recordings.forward import ForwardState, PromptSchedule, Scheduled, track_forward
from lang2segtrack_ros.recordings.runs import OfflineError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from test.conftest import body_box

TEXT = TextPrompt("red circle.")


def run(session: Session, frames: list[SceneFrame], prompts: list[Scheduled]) -> ForwardState:
    """Track through frames, and return the state at the end."""
    state = ForwardState(PromptSchedule(prompts))
    for _ in track_forward(session, (Frame(shot.color, index) for index, shot in enumerate(frames)), state):
        pass
    return state


def test_object_seen_once_is_named(segmenter: Sam2Segmenter, detector: Detector, frames: list[SceneFrame]) -> None:
    """One picture cannot confirm an object by a second detection. "Found on none of the images" would be wrong."""
    session = Session(segmenter, detector, options=SessionOptions(confirm_score_ratio=0.0))
    state = run(session, frames[:1], [Scheduled(0, TEXT)])
    with pytest.raises(
        OfflineError, match=r'"red circle" \(from image 0 on\) was detected, but not often enough to be confirmed on 1 images'
    ):
        state.check_outcome([Scheduled(0, TEXT)])


def test_late_text_is_named_beside_other_objects(
    segmenter: Sam2Segmenter, detector: Detector, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """The other objects are kept. A prompt without its image is no reason to lose them."""
    session = Session(segmenter, detector, options=SessionOptions(confirm_score_ratio=0.0))
    box = BoxPrompt(body_box(frames[0], 2), "other")
    prompts = [Scheduled(0, box), Scheduled(2, TEXT), Scheduled(9, TEXT)]
    state = run(session, frames[:3], prompts)
    with caplog.at_level(logging.WARNING):
        state.check_outcome(prompts)
    assert "the prompts for images 9 were not used, because the source ends after 3 images" in caplog.text
    assert '"red circle" was detected on image 2 for the first time, but the source ended before it was confirmed' in caplog.text


def test_prompts_beyond_a_known_end_are_refused() -> None:
    """A run may take hours."""
    schedule = PromptSchedule([Scheduled(0, TEXT), Scheduled(6, TEXT)])
    schedule.check(None)
    schedule.check(7)
    with pytest.raises(OfflineError, match="there is a prompt for image 6, but the source has 6 images"):
        schedule.check(6)


def test_notes_and_refusals_are_given_once(
    segmenter: Sam2Segmenter, detector: Detector, frames: list[SceneFrame], caplog: pytest.LogCaptureFixture
) -> None:
    """The session logs outcomes, too, unless its caller does."""
    run(Session(segmenter, detector), frames[:3], [Scheduled(0, TextPrompt("red circle. yellow cross."))])
    note = "not found on this image: yellow cross; the detector looks again every 5 images"
    assert [record.getMessage() for record in caplog.records] == [note]
    caplog.clear()
    with pytest.raises(OfflineError, match="the session refused the prompt for image 0: the box"):
        run(Session(segmenter), frames[:3], [Scheduled(0, BoxPrompt((900, 900, 950, 950)))])
    assert not caplog.records
