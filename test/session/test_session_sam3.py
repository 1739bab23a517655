# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions with the rules of SAM 3: a real tracker on toy clips, and a detector with scripted results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.identity.sam3_rules import Sam3State
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from test.session.test_session_identity import FRAME_NS, ScriptedDetector, play, truth

CIRCLE = Body("red", "circle", (0.3, 0.5), (0.05, 0.0), (60.0, 60.0), radius_m=0.25)
SQUARE = Body("blue", "square", (0.75, 0.4), radius_m=0.2)


@pytest.mark.parametrize(("association", "ids", "late"), [("sam3", [1], 1), ("sam3-streaming", [1, 2], 0)])
def test_false_track_ends_in_its_probation_and_stays_in_a_stream(
    segmenter: Sam2Segmenter, association: str, ids: list[int], late: int
) -> None:
    """The detector gives the square the name of the circle on the first frame only."""
    scene = Scene((CIRCLE, SQUARE), 320, 240, 5)
    detector = ScriptedDetector(lambda frame: [(label if frame else "red circle", box) for label, box in truth(scene)(frame)])
    session = Session(segmenter, detector, options=SessionOptions(association=association, detect_every=1))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(18))
    assert [sorted(track.id for track in rows[index][1].announced) for index in (1, 17)] == [[] if late else [1, 2], ids]
    assert session.counts["false_alarms"] == late
    shot, result = rows[-1]
    overlap = result.by_id[1].mask & (shot.instances == 1)
    assert np.count_nonzero(overlap) > 0.8 * np.count_nonzero(shot.instances == 1)
    counts = dict(zip(session.tracker.rows.ids, session.tracker.rows.prompt_counts))
    assert counts[1] == 2, "the detection on frame 16 has conditioned the track"


def test_late_detections_start_objects(segmenter: Sam2Segmenter) -> None:
    """The detector thread answers on a later frame. The association then runs on the earlier frame."""
    scene = Scene((CIRCLE,), 320, 240, 5)
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, background=True, options=SessionOptions(association="sam3-streaming", detect_every=1))
    session.prompt(TextPrompt("red circle."))
    detector.frame = 0
    for index in range(4):
        result = session.step(Frame(scene.render(index).color, index * FRAME_NS))
        assert session.detections.worker is not None
        session.detections.worker.wait(10.0)
    session.close()
    assert [track.id for track in result.announced if track.box is not None] == [1]


def test_occluded_track_is_hidden_with_its_memory(segmenter: Sam2Segmenter) -> None:
    """Two tracks cover one circle, and both were hidden before. SAM 3 hides the one that was hidden last, in results and memories."""
    scene = Scene((CIRCLE,), 320, 240, 5)
    session = Session(segmenter, options=SessionOptions(association="sam3"))
    box = truth(scene)(0)[0][1]
    for name in ("one", "other"):
        session.prompt(BoxPrompt(box, name))
    session.step(Frame(scene.render(0).color, 0))
    tracks = {key: replace(track, label="red circle") for key, track in session.state.tracks.items()}
    session.state = replace(session.state, tracks=tracks, sam3=Sam3State(hidden={1: -9, 2: -5}))
    result = session.step(Frame(scene.render(1).color, FRAME_NS))
    assert [track.id for track in result.tracks if track.box is not None] == [1]
    assert session.tracker.bank.frames_unseen.tolist() == [0, 1]
    assert session.state.sam3.hidden == {1: -9, 2: 1}
