# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A session without objects and prompts runs no network and, on request, keeps no history."""

from __future__ import annotations

from typing import Any

import pytest

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures, Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.conftest import body_box

PERIOD_NS = 66_666_667


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that grows by one entry with each run of the image encoder."""
    runs: list[None] = []
    encode = Sam2Segmenter.encode

    def counted(segmenter: Sam2Segmenter, *args: Any) -> ImageFeatures:
        runs.append(None)
        return encode(segmenter, *args)

    monkeypatch.setattr(Sam2Segmenter, "encode", counted)
    return runs


def step(session: Session, frames: list[SceneFrame]) -> FrameResult:
    """Process the next frame of the clip."""
    index = session.state.frame_index
    return session.step(Frame(frames[index].color, index * PERIOD_NS))


def test_network_runs_only_for_objects_and_prompts(segmenter: Sam2Segmenter, frames: list[SceneFrame], encoded: list[None]) -> None:
    """An idle camera must cost next to nothing. Only the first frame is encoded, so that the first prompt meets a warm network."""
    session = Session(segmenter)
    results = [step(session, frames) for _ in range(4)]
    assert (len(encoded), session.is_idle) == (1, True)
    assert [(result.index, result.tracks) for result in results] == [(index, ()) for index in range(4)]
    handle = session.prompt(BoxPrompt(body_box(frames[4], 1)))
    assert not session.is_idle
    assert [track.box is not None for track in step(session, frames).tracks] == [True]
    step(session, frames)
    assert len(encoded) == 3
    session.remove(handle.track_ids[0])
    assert not session.is_idle, "the removal is not reported yet"
    assert [track.state for track in step(session, frames).tracks] == [TrackStatus.REMOVED]
    step(session, frames)
    assert (len(encoded), session.is_idle) == (3, True)


@pytest.mark.parametrize("while_idle", [False, True])
def test_history_begins_with_first_prompt_on_request(segmenter: Sam2Segmenter, frames: list[SceneFrame], while_idle: bool) -> None:
    """The history of a node begins with the first prompt and pauses while nothing is tracked. By default it holds every frame."""
    history = FrameHistory(while_idle=while_idle)
    session = Session(segmenter, history=history)
    for _ in range(3):
        step(session, frames)
    assert session.is_idle is not while_idle
    handle = session.prompt(BoxPrompt(body_box(frames[3], 1)))
    for _ in range(2):
        step(session, frames)
    session.remove(handle.track_ids[0])
    for _ in range(3):
        step(session, frames)
    assert history.numbers() == (list(range(8)) if while_idle else [3, 4, 5])


def test_text_prompt_without_objects_keeps_the_session_busy(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """Its object may appear on any later image, and its trace then begins in the history."""
    history = FrameHistory(while_idle=False)
    session = Session(segmenter, detector, history=history)
    handle = session.prompt(TextPrompt("orange hexagon."))
    for _ in range(3):
        assert step(session, frames).tracks == ()
    assert not session.is_idle
    assert history.numbers() == [0, 1, 2]
    session.remove_text(handle.prompt_id)
    assert session.is_idle
