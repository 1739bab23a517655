# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Late detections: what happens between their frame and the present."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from test.conftest import body_box, iou
from test.session.test_session_identity import ScriptedDetector, truth

SCENE = Scene((Body("red", "circle", (0.35, 0.4), (0.2, 0.1)), Body("blue", "star", (0.7, 0.6))), 320, 240, 5)


def wait(session: Session) -> None:
    assert session.detections.worker is not None
    session.detections.worker.wait(30)


def test_prompt_changes_its_status_with_its_detection(segmenter: Sam2Segmenter) -> None:
    """Services and pages show why a prompt has no answer yet."""
    detector = ScriptedDetector(truth(SCENE))
    session = Session(segmenter, detector, background=True)
    text, box = session.prompt(TextPrompt("red circle.")), session.prompt(BoxPrompt((-9.0, -9.0, -5.0, -5.0)))
    assert (text.status, box.status) == (PromptStatus.QUEUED, PromptStatus.QUEUED)
    detector.frame = 0
    session.step(Frame(SCENE.render(0).color, 0))
    assert (text.status, box.status) == (PromptStatus.DETECTING, PromptStatus.FAILED)
    wait(session)
    session.step(Frame(SCENE.render(1).color, 66_000_000))
    assert text.status is PromptStatus.DONE
    assert text.future.result(timeout=0).labels == ("red circle",)
    session.close()


def test_object_of_a_late_detection_is_where_it_is_now(segmenter: Sam2Segmenter) -> None:
    """The detection is six frames old, and the object has moved since."""
    detector = ScriptedDetector(truth(SCENE))
    session = Session(segmenter, detector, background=True, options=SessionOptions(detect_every=100))
    session.prompt(TextPrompt("red circle."))
    assert session.detections.worker is not None
    detector.frame = 0
    session.step(Frame(SCENE.render(0).color, 0))
    wait(session)
    late, session.detections.worker._result = session.detections.worker._result, None
    for index in range(1, 6):
        session.step(Frame(SCENE.render(index).color, index * 66_000_000))
    session.detections.worker._result = late
    shot = SCENE.render(6)
    result = session.step(Frame(shot.color, 6 * 66_000_000))
    session.close()
    (track,) = result.tracks
    assert iou(track.mask, shot.instances == 1) > 0.8
    assert result.prompted == (track.id,)


def test_detection_from_another_image_size_is_repeated(segmenter: Sam2Segmenter) -> None:
    """Its boxes are in pixels of the old images. The prompt must wait for a detection on the new ones."""
    detector = ScriptedDetector(truth(SCENE))
    session = Session(segmenter, detector, background=True)
    session.prompt(BoxPrompt(body_box(SCENE.render(0), 2), "blue star"))
    handle = session.prompt(TextPrompt("red circle.", "once"))
    detector.frame = 0
    session.step(Frame(SCENE.render(0).color, 0))
    wait(session)
    late, session.detections.worker._result = session.detections.worker._result, None  # type: ignore[union-attr]
    half = np.ascontiguousarray(SCENE.render(1).color[::2, ::2])
    session.step(Frame(half, 66_000_000))
    session.detections.worker._result = late  # type: ignore[union-attr]
    detector.script = lambda frame: [(label, tuple(value / 2 for value in box)) for label, box in truth(SCENE)(frame)]  # type: ignore[misc]
    for index in (2, 3):
        detector.frame = index
        result = session.step(Frame(np.ascontiguousarray(SCENE.render(index).color[::2, ::2]), index * 66_000_000))
        wait(session)
    result = session.step(Frame(np.ascontiguousarray(SCENE.render(4).color[::2, ::2]), 4 * 66_000_000))
    session.close()
    (track_id,) = handle.track_ids
    assert iou(result.by_id[track_id].mask, (SCENE.render(4).instances == 1)[::2, ::2]) > 0.7
