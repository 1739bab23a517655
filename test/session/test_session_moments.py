# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts, detection results, removals and failures at unusual times. Each is handled once and leaves no state behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS
from lang2segtrack_ros.session.prompting import MAX_WAITING
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import TrackStatus
from test.conftest import DEVICE, body_box, iou
from test.session.test_degradation import OUT, raise_in, step
from test.session.test_session_identity import Boxes, ScriptedDetector, play, truth

CIRCLE = Scene((Body("red", "circle", (0.3, 0.3)),), 320, 240, 5)
CIRCLE_BOX = truth(CIRCLE)(0)[0][1]


class DelayedDetector(ScriptedDetector):
    """A scripted detector that holds the result of one frame until `proceed` is set."""

    def __init__(self, script: Boxes, delayed_frame: int) -> None:
        super().__init__(script)
        self.delayed_frame = delayed_frame
        self.started, self.proceed = threading.Event(), threading.Event()

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        frame = self.frame
        found = super().detect(color, phrases, thresholds)
        if frame == self.delayed_frame:
            self.started.set()
            assert self.proceed.wait(30)
        return found


def wait_for_detector(session: Session) -> None:
    """Block until the detector thread has finished its request."""
    assert session.detections.worker is not None
    session.detections.worker.wait(30)


def test_object_is_reidentified_at_the_object_limit(segmenter: Sam2Segmenter) -> None:
    """After the scene cut, the detection counts as a new object above the limit until its re-identification."""
    scene = Scene((Body("red", "circle", (0.4, 0.5), radius_m=0.25),), 320, 240, 5, cuts=(13,))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(max_objects=1))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(30))
    assert session.counts["scene_cuts"] == 1
    (track,) = rows[-1][1].tracks
    assert track.id == 1
    assert iou(track.mask, rows[-1][0].instances == 1) > 0.8


def test_new_object_is_refused_at_the_object_limit(segmenter: Sam2Segmenter) -> None:
    scene = Scene((Body("red", "circle", (0.3, 0.3)), Body("blue", "star", (0.7, 0.6))), 320, 240, 5)
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(max_objects=1))
    handle = session.prompt(TextPrompt("red circle. blue star."))
    rows = play(session, detector, scene, range(4))
    assert len(rows[-1][1].tracks) == len(handle.track_ids) == 1
    refused = session.prompt(TextPrompt("blue star." if handle.labels == ["red circle"] else "red circle.", "once"))
    play(session, detector, scene, range(4, 6))
    assert "1 objects are tracked already" in refused.error


@pytest.mark.parametrize("moment", ["removed before an image", "removed during detection", "replaced during detection"])
def test_ended_prompt_leaves_no_tentative_objects(segmenter: Sam2Segmenter, moment: str) -> None:
    """No later detection could confirm or reject an object of a prompt that was removed or replaced."""
    detector = ScriptedDetector(truth(CIRCLE))
    options = SessionOptions(confirm_score_ratio=0.0)
    session = Session(segmenter, detector, background="during" in moment, options=options)
    handle = session.prompt(TextPrompt("red circle."))
    if "during" in moment:
        play(session, detector, CIRCLE, range(1))
    if "removed" in moment:
        session.remove_text(handle.prompt_id)
    else:
        session.prompt(TextPrompt("blue star."), replace_prompt_id=handle.prompt_id)
    if "during" in moment:
        wait_for_detector(session)
    rows = play(session, detector, CIRCLE, range(1, 12))
    session.close()
    assert handle.done
    assert "before its first detection" in handle.error
    assert [track for track in rows[-1][1].tracks if track.state is not TrackStatus.REMOVED] == []
    assert session.tracker.ids == []


def test_detection_from_before_a_scene_cut_is_dropped(segmenter: Sam2Segmenter) -> None:
    """The square replaces the circle at the cut. The old result would give the id of the circle to the square."""
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=13)
    after = Body("red", "square", (0.42, 0.5), radius_m=0.25, first=13)
    scene = Scene((before, after), 320, 240, 5, cuts=(13,))
    detector = DelayedDetector(truth(scene), delayed_frame=10)
    session = Session(segmenter, detector, background=True, options=SessionOptions(confirm_score_ratio=0.0))
    session.prompt(TextPrompt("red circle.", interval=4))
    visible = []
    for index in range(25):
        ((_, result),) = play(session, detector, scene, range(index, index + 1))
        visible.append(any(track.box is not None for track in result.tracks))
        if index == 10:
            assert detector.started.wait(30)
        if index == 14:
            detector.proceed.set()
        if not 10 <= index < 14:
            wait_for_detector(session)
    session.close()
    assert (10, ("red circle",)) in detector.queries
    assert session.counts["scene_cuts"] == 1
    assert visible[12]
    assert not any(visible[13:])


def test_one_detection_out_of_memory_shrinks_the_detector_once(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame that receives the error also runs out of memory and is tried at every size. The detector must shrink only once."""
    detector = load_detector("toy", device=DEVICE, dtype="float32")
    session = Session(segmenter, detector, background=True, options=SessionOptions(detect_every=1))
    session.prompt(TextPrompt("red circle."))
    step(session, frames, 0)
    wait_for_detector(session)
    with monkeypatch.context() as patch:
        raise_in(patch, "detect_batch", torch.OutOfMemoryError(OUT), lambda *_: True, GroundingDinoDetector)
        step(session, frames, 1)
        wait_for_detector(session)
        raise_in(patch, "encode", torch.OutOfMemoryError(OUT), lambda *_: True)
        with pytest.raises(torch.OutOfMemoryError, match="even with"):
            step(session, frames, 2)
    step(session, frames, 3)
    session.close()
    assert session.tracker.segmenter.image_size == segmenter.image_size, "no size helped, so the segmenter keeps its size"
    assert isinstance(session.detector, GroundingDinoDetector)
    assert session.detector.shortest_edge == detector.shortest_edge * 3 // 4
    assert "smaller images" in session.degradation.settings


@pytest.mark.parametrize("background", [False, True])
def test_prompt_retries_are_bounded_when_frame_and_detector_fail_together(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """A failed frame restores the session, but it must not restore the retry count. Otherwise the detector would run on every image."""
    detector = ScriptedDetector(lambda _: [])
    session = Session(segmenter, detector, background=background)
    handle = session.prompt(TextPrompt("red circle.", "once"))
    monkeypatch.setattr(detector, "detect", lambda *_: [][1])
    with monkeypatch.context() as patch:
        raise_in(patch, "encode" if background else "encode_memory", ArithmeticError("injected failure"), lambda *_: True)
        session.prompt(BoxPrompt(body_box(frames[0], 1)))
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(ArithmeticError):
                step(session, frames, 0)
    for index in range(2 * MAX_ATTEMPTS):
        step(session, frames, index)
        if background:
            wait_for_detector(session)
    session.close()
    assert f"failed {MAX_ATTEMPTS} times" in handle.error
    assert session.waiting == 0


def test_two_corrections_of_one_object_are_applied_on_two_images(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The second correction builds on the mask of the first. On one image, the second would replace the first."""
    session = Session(segmenter)
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    session.prompt(BoxPrompt(body_box(frames[0], 3)))
    step(session, frames, 0)
    onto_star = session.prompt(MaskPrompt(frames[1].instances == 2, "", 1))
    back = session.prompt(BoxPrompt(body_box(frames[2], 1), "", 1))
    other = session.prompt(BoxPrompt(body_box(frames[1], 3), "", 2))
    result = step(session, frames, 1)
    assert (onto_star.done, back.done, other.done) == (True, False, True)
    assert iou(result.by_id[1].mask, frames[1].instances == 2) > 0.8
    result = step(session, frames, 2)
    assert back.done
    assert iou(result.by_id[1].mask, frames[2].instances == 1) > 0.8


def test_box_and_text_prompt_on_one_image_give_one_object(segmenter: Sam2Segmenter) -> None:
    detector = ScriptedDetector(truth(CIRCLE))
    session = Session(segmenter, detector)
    boxed, named = session.prompt(BoxPrompt(CIRCLE_BOX, "mine")), session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, CIRCLE, range(3))
    assert boxed.track_ids == named.track_ids == [1]
    assert [track.label for track in rows[-1][1].tracks] == ["mine"]


@pytest.mark.parametrize("removed", [False, True])
def test_handle_names_the_current_track(segmenter: Sam2Segmenter, removed: bool) -> None:
    """The user adds a box for the same object during the detection. If the user also removes that track, the detection starts a new one."""
    detector = DelayedDetector(truth(CIRCLE), delayed_frame=0)
    session = Session(segmenter, detector, background=True)
    named = session.prompt(TextPrompt("red circle.", "once"))
    play(session, detector, CIRCLE, range(1))
    assert detector.started.wait(30)
    boxed = session.prompt(BoxPrompt(CIRCLE_BOX, "mine"))
    play(session, detector, CIRCLE, range(1, 2))
    if removed:
        session.remove(boxed.track_ids[0])
    detector.proceed.set()
    wait_for_detector(session)
    play(session, detector, CIRCLE, range(2, 4))
    session.close()
    assert named.track_ids == session.tracker.ids
    assert (named.track_ids == boxed.track_ids) is not removed


def test_number_of_prompts_that_wait_for_the_detector_is_bounded(segmenter: Sam2Segmenter) -> None:
    """A blocked detector must not let the queue of prompts grow without limit."""
    detector = DelayedDetector(lambda _: [], delayed_frame=0)
    session = Session(segmenter, detector, background=True)
    for _ in range(2):
        for _ in range(MAX_WAITING // 2):
            session.prompt(TextPrompt("red circle.", "once"))
        play(session, detector, CIRCLE, range(1))
    assert session.waiting == MAX_WAITING
    with pytest.raises(PromptError, match="already wait for an image"):
        session.prompt(TextPrompt("red circle.", "once"))
    detector.proceed.set()
    session.close()


def test_crossings_are_reset_when_the_image_size_changes(segmenter: Sam2Segmenter) -> None:
    """Areas and trajectories are in pixels. On the smaller image, no region would be large enough to end the crossing."""
    path = np.column_stack((np.linspace(0.25, 0.55, 20), np.full(20, 0.5), np.full(20, 2.0)))
    scene = Scene((Body("red", "circle", path=path, radius_m=0.2), Body("blue", "square", (0.55, 0.5), radius_m=0.2)), 320, 240, 5)
    session = Session(segmenter)
    for number in (1, 2):
        session.prompt(BoxPrompt(truth(scene)(0)[number - 1][1], "thing"))
    for index in range(16):
        session.step(Frame(scene.render(index).color, index))
    assert session.state.crossings
    session.step(Frame(np.ascontiguousarray(scene.render(16).color[::2, ::2]), 16))
    assert not session.state.crossings


def test_failed_removal_leaves_all_tracks(segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Users remove objects when the device is out of memory, so a removal may itself run out of memory."""
    session = Session(segmenter)
    for body in (1, 2):
        session.prompt(BoxPrompt(body_box(frames[0], body)))
    step(session, frames, 0)
    with monkeypatch.context() as patch:
        copies = raise_in(patch, "select", torch.OutOfMemoryError(OUT), lambda *_: True, MemoryBank)
        with pytest.raises(torch.OutOfMemoryError):
            session.remove(1)
    assert len(copies) == 1
    assert [track.id for track in step(session, frames, 1).tracks] == [1, 2]
    session.remove(1)
    assert [track.id for track in step(session, frames, 2).tracks if track.state is not TrackStatus.REMOVED] == [2]


def test_read_only_disk_of_the_history_loses_no_image(
    tmp_path: Path, segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(segmenter, history=FrameHistory(0.1, folder=tmp_path))
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    step(session, frames, 0)
    with monkeypatch.context() as patch:
        for name in ("write_bytes", "unlink"):
            raise_in(patch, name, OSError("Read-only file system"), lambda *_: True, Path)
        for index in range(1, 5):
            assert len(step(session, frames, index).tracks) == 1
    assert session.history is not None
    assert session.history.failures == 4
    assert "Read-only" in session.history.describe()
    session.close()


def test_failed_appearance_update_loses_no_image(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(segmenter, history=FrameHistory())
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    with monkeypatch.context() as patch:
        raise_in(patch, "add", ValueError("no room"), lambda *_: True, FrameHistory)
        for index in range(3):
            assert len(session.step(Frame(frames[index].color, index), update_appearance=False).tracks) == 1
    step(session, frames, 3)
    assert session.counts["appearance_update_failures"] == 2, "the fourth step updates from the third frame"
