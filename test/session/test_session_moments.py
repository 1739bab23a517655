# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Prompts, answers, removals and faults that come at a bad moment: each is answered once, and nothing stays behind."""

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
from lang2segtrack_ros.session.session import MAX_WAITING, Session
from lang2segtrack_ros.toyworld.scene import Body, Scene, SceneFrame
from lang2segtrack_ros.tracking.memory_bank import MemoryBank
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import MAX_ATTEMPTS
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import TrackStatus
from test.conftest import body_box, iou
from test.session.test_degradation import OUT, raise_in, step
from test.session.test_session_identity import Boxes, Scripted, play, truth

CIRCLE = Scene((Body("red", "circle", (0.3, 0.3)),), 320, 240, 5)
CIRCLE_BOX = truth(CIRCLE)(0)[0][1]


class Held(Scripted):
    """Keeps its answer about a frame back until it is let go."""

    def __init__(self, script: Boxes, held: int) -> None:
        super().__init__(script)
        self.held = held
        self.asked_for_it, self.go = threading.Event(), threading.Event()

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        frame = self.frame
        found = super().detect(color, phrases, thresholds)
        if frame == self.held:
            self.asked_for_it.set()
            assert self.go.wait(30)
        return found


def wait_for_detector(session: Session) -> None:
    assert session._worker is not None
    session._worker.wait(30)


def test_an_object_is_found_again_although_no_more_are_allowed(segmenter: Sam2Segmenter) -> None:
    """After the cut it must be found; what the detector finds looks like one object too many until it is recognised."""
    scene = Scene((Body("red", "circle", (0.4, 0.5), radius_m=0.25),), 320, 240, 5, cuts=(13,))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(max_objects=1))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(30))
    assert session.scene_cuts == 1
    (track,) = rows[-1][1].tracks
    assert track.id == 1
    assert iou(track.mask, rows[-1][0].instances == 1) > 0.8


def test_where_there_is_no_room_a_newcomer_is_refused(segmenter: Sam2Segmenter) -> None:
    scene = Scene((Body("red", "circle", (0.3, 0.3)), Body("blue", "star", (0.7, 0.6))), 320, 240, 5)
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(max_objects=1))
    handle = session.prompt(TextPrompt("red circle. blue star."))
    rows = play(session, detector, scene, range(4))
    assert len(rows[-1][1].tracks) == len(handle.track_ids) == 1
    late = session.prompt(TextPrompt("blue star." if handle.labels == ["red circle"] else "red circle.", "once"))
    play(session, detector, scene, range(4, 6))
    assert "no more are allowed" in late.error


@pytest.mark.parametrize("moment", ["removed before an image", "removed in flight", "replaced in flight"])
def test_what_a_prompt_that_is_no_more_has_found_goes(segmenter: Sam2Segmenter, moment: str) -> None:
    """No look would ever confirm it, and no look could tell that it is nothing."""
    detector = Scripted(truth(CIRCLE))
    session = Session(segmenter, detector, background="flight" in moment)
    handle = session.prompt(TextPrompt("red circle."))
    if "flight" in moment:
        play(session, detector, CIRCLE, range(1))
    if "removed" in moment:
        session.remove_text(handle.prompt_id)
    else:
        session.prompt(TextPrompt("blue star."), replace_prompt_id=handle.prompt_id)
    if "flight" in moment:
        wait_for_detector(session)
    rows = play(session, detector, CIRCLE, range(1, 12))
    session.close()
    assert handle.done
    assert "before it was looked for" in handle.error
    assert [track for track in rows[-1][1].tracks if track.state is not TrackStatus.REMOVED] == []
    assert session.tracker.ids == []


def test_an_answer_from_before_a_cut_says_nothing_of_what_is_seen_after_it(segmenter: Sam2Segmenter) -> None:
    """Else the circle's id would sit on the square that has taken its place."""
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=13)
    after = Body("red", "square", (0.42, 0.5), radius_m=0.25, first=13)
    scene = Scene((before, after), 320, 240, 5, cuts=(13,))
    detector = Held(truth(scene), held=10)
    session = Session(segmenter, detector, background=True)
    session.prompt(TextPrompt("red circle.", interval=4))
    shown = []
    for index in range(25):
        ((_, result),) = play(session, detector, scene, range(index, index + 1))
        shown.append(any(track.box is not None for track in result.tracks))
        if index == 10:
            assert detector.asked_for_it.wait(30)
        if index == 14:
            detector.go.set()
        if not 10 <= index < 14:
            wait_for_detector(session)
    session.close()
    assert (10, ("red circle",)) in detector.asked
    assert session.scene_cuts == 1
    assert shown[12]
    assert not any(shown[13:])


def test_one_answer_out_of_memory_makes_the_detector_smaller_once(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the image that it comes with does not fit either, and is tried at every size."""
    detector = load_detector("toy", device="cpu")
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
    assert session.tracker.segmenter.image_size == segmenter.image_size, "nothing is given up where nothing helped"
    assert isinstance(session.detector, GroundingDinoDetector)
    assert session.detector.shortest_edge == detector.shortest_edge * 3 // 4
    assert "smaller images" in session.degraded_to


@pytest.mark.parametrize("background", [False, True])
def test_a_prompt_has_its_tries_also_when_two_things_fail_at_once(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    """Whatever is put back with a frame that failed, the count of tries ends; else the detector would be asked on every image for ever."""
    detector = Scripted(lambda _: [])
    session = Session(segmenter, detector, background=background)
    handle = session.prompt(TextPrompt("red circle.", "once"))
    monkeypatch.setattr(detector, "detect", lambda *_: [][1])
    with monkeypatch.context() as patch:
        raise_in(patch, "encode" if background else "encode_memory", ArithmeticError("lightning"), lambda *_: True)
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


def test_two_corrections_of_one_object_are_both_applied(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """On two images, in their order: of two on one image the second would take the first one's place."""
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


def test_a_box_and_a_name_on_one_image_are_one_object(segmenter: Sam2Segmenter) -> None:
    detector = Scripted(truth(CIRCLE))
    session = Session(segmenter, detector)
    boxed, named = session.prompt(BoxPrompt(CIRCLE_BOX, "mine")), session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, CIRCLE, range(3))
    assert boxed.track_ids == named.track_ids == [1]
    assert [track.label for track in rows[-1][1].tracks] == ["mine"]


@pytest.mark.parametrize("removed", [False, True])
def test_a_handle_names_the_track_that_there_is(segmenter: Sam2Segmenter, removed: bool) -> None:
    """While the detector looked, the user boxed the same object; and perhaps removed it again, and then what was found is a new one."""
    detector = Held(truth(CIRCLE), held=0)
    session = Session(segmenter, detector, background=True)
    named = session.prompt(TextPrompt("red circle.", "once"))
    play(session, detector, CIRCLE, range(1))
    assert detector.asked_for_it.wait(30)
    boxed = session.prompt(BoxPrompt(CIRCLE_BOX, "mine"))
    play(session, detector, CIRCLE, range(1, 2))
    if removed:
        session.remove(boxed.track_ids[0])
    detector.go.set()
    wait_for_detector(session)
    play(session, detector, CIRCLE, range(2, 4))
    session.close()
    assert named.track_ids == session.tracker.ids
    assert (named.track_ids == boxed.track_ids) is not removed


def test_names_that_wait_for_the_detector_are_bounded(segmenter: Sam2Segmenter) -> None:
    """A detector that is stuck must not let those who ask pile up without end."""
    detector = Held(lambda _: [], held=0)
    session = Session(segmenter, detector, background=True)
    for _ in range(2):
        for _ in range(MAX_WAITING // 2):
            session.prompt(TextPrompt("red circle.", "once"))
        play(session, detector, CIRCLE, range(1))
    assert session.waiting == MAX_WAITING
    with pytest.raises(PromptError, match="wait for an image already"):
        session.prompt(TextPrompt("red circle.", "once"))
    detector.go.set()
    session.close()


def test_who_meets_whom_is_forgotten_when_images_change_their_size(segmenter: Sam2Segmenter) -> None:
    """Areas and courses are in pixels: no part of the smaller image would be large enough to end the meeting."""
    path = np.column_stack((np.linspace(0.25, 0.55, 20), np.full(20, 0.5), np.full(20, 2.0)))
    scene = Scene((Body("red", "circle", path=path, radius_m=0.2), Body("blue", "square", (0.55, 0.5), radius_m=0.2)), 320, 240, 5)
    session = Session(segmenter)
    for number in (1, 2):
        session.prompt(BoxPrompt(truth(scene)(0)[number - 1][1], "thing"))
    for index in range(16):
        session.step(Frame(scene.render(index).color, index))
    assert session._crossings._open
    session.step(Frame(np.ascontiguousarray(scene.render(16).color[::2, ::2]), 16))
    assert not session._crossings._open


def test_removing_without_memory_changes_nothing(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to a full device is to remove objects."""
    session = Session(segmenter)
    for body in (1, 2):
        session.prompt(BoxPrompt(body_box(frames[0], body)))
    step(session, frames, 0)
    with monkeypatch.context() as patch:
        copies = raise_in(patch, "keep", torch.OutOfMemoryError(OUT), lambda *_: True, MemoryBank)
        with pytest.raises(torch.OutOfMemoryError):
            session.remove(1)
    assert len(copies) == 1
    assert [track.id for track in step(session, frames, 1).tracks] == [1, 2]
    session.remove(1)
    assert [track.id for track in step(session, frames, 2).tracks if track.state is not TrackStatus.REMOVED] == [2]


def test_a_disk_that_becomes_read_only_costs_no_image(
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


def test_what_cannot_be_learnt_from_costs_no_image(
    segmenter: Sam2Segmenter, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(segmenter, history=FrameHistory())
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    with monkeypatch.context() as patch:
        raise_in(patch, "add", ValueError("no room"), lambda *_: True, FrameHistory)
        for index in range(3):
            assert len(session.step(Frame(frames[index].color, index), update_appearance=False).tracks) == 1
    step(session, frames, 3)
    assert session.counts["appearance_update_failures"] == 2, "the third is learnt from with the fourth"
