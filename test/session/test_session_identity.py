# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of identity in a session: a real tracker on toy clips, and a detector with scripted results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.cached import NETWORK, CachedSegmenter

FRAME_NS = 1_000_000_000 // 15
Boxes = Callable[[int], list[tuple[str, tuple[float, float, float, float]]]]


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


class ScriptedDetector:
    """A detector that returns the boxes of a script.

    Args:
        script: function from a frame index to labels and boxes.
    """

    name = "scripted"
    default_threshold = 0.3

    def __init__(self, script: Boxes) -> None:
        self.script = script
        self.frame = -1
        self.queries: list[tuple[int, tuple[str, ...]]] = []

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        self.queries.append((self.frame, tuple(phrases)))
        return [Detection(label, 0.9, box) for label, box in self.script(self.frame) if label in phrases]


def truth(scene: Scene) -> Boxes:
    """Return a script with the true box of every body that has more than 200 visible pixels."""

    def boxes(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        visible = [body for body in scene.render(frame).bodies.values() if body.visible > 200 and body.box is not None]
        return [(body.label, tuple(map(float, body.box))) for body in visible if body.box is not None]  # type: ignore[misc]

    return boxes


def play(session: Session, detector: ScriptedDetector, scene: Scene, frames: range) -> list[tuple[SceneFrame, FrameResult]]:
    """Process some frames of a scene, and return each rendered frame with its result."""
    rows = []
    for index in frames:
        detector.frame = index
        shot = scene.render(index)
        rows.append((shot, session.step(Frame(shot.color, index * FRAME_NS))))
    return rows


def leave_and_return(return_position: tuple[float, float], substitute: Body | None = None) -> Scene:
    """Return a scene with a red circle that is visible for 20 frames, absent for 30 (two seconds), and back at another position.

    Args:
        return_position: (x, y) of the return as fractions of the image size.
        substitute: body that appears instead of the circle. None lets the circle return.
    """
    path = np.tile([-5.0, -5.0, 2.0], (80, 1))
    path[:20, :2] = (0.3, 0.3)
    path[50:, :2] = return_position
    circle = Body("red", "circle", path=path, radius_m=0.22)
    other = Body("blue", "star", (0.2, 0.8), (0.05, 0.02), radius_m=0.2)
    if substitute is None:
        return Scene((circle, other), 320, 240, 3)
    return Scene((replace(circle, last=20), other, replace(substitute, path=path, first=50)), 320, 240, 3)


def test_returning_object_keeps_its_id(segmenter: Sam2Segmenter) -> None:
    scene = leave_and_return((0.7, 0.5))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(lost_after_s=1.0))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(75))
    (first,) = {track.id for track in rows[15][1].announced}
    assert rows[45][1].by_id[first].state is TrackStatus.LOST
    shot, result = rows[74]
    assert [track.id for track in result.tracks] == [first]
    mask, true = result.by_id[first].mask, shot.instances == 1
    assert np.count_nonzero(mask & true) > 0.7 * np.count_nonzero(mask | true)


def test_different_object_with_the_same_name_gets_a_new_id(segmenter: Sam2Segmenter) -> None:
    """The detector gives the lost name to an object with another appearance. Its appearance must prevent a re-identification."""
    scene = leave_and_return((0.7, 0.5), substitute=Body("green", "cross", radius_m=0.22))
    true_boxes = truth(scene)

    def misnamed(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        return [("red circle" if label == "green cross" else label, box) for label, box in true_boxes(frame)]

    detector = ScriptedDetector(misnamed)
    session = Session(segmenter, detector, options=SessionOptions(lost_after_s=1.0))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(75))
    (first,) = {track.id for track in rows[15][1].announced}
    result = rows[74][1]
    assert result.by_id[first].box is None, "the new object must not get the old id"
    assert [track.label for track in result.announced if track.id != first and track.box is not None] == ["red circle"]


def test_false_alarm_is_never_confirmed(segmenter: Sam2Segmenter) -> None:
    scene = leave_and_return((0.7, 0.5))
    detector = ScriptedDetector(lambda frame: [("red circle", (200.0, 150.0, 240.0, 200.0))] if frame == 0 else [])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2))
    handle = session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(8))
    assert len(handle.track_ids) == 1
    assert rows[0][1].tracks[0].state is TrackStatus.TENTATIVE
    assert all(track.state is TrackStatus.REMOVED for _, result in rows for track in result.announced)
    assert rows[-1][1].tracks == ()
    assert session.counts["false_alarms"] == 1


def test_tentative_object_halves_the_detection_interval(segmenter: Sam2Segmenter) -> None:
    """A tentative object needs another detection to be confirmed, so its prompt is due earlier."""
    scene = leave_and_return((0.7, 0.5))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(detect_every=6, confirm_score_ratio=0.0))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(11))
    assert [frame for frame, _ in detector.queries] == [0, 3, 9]
    assert [bool(result.announced) for _, result in rows] == [False] * 3 + [True] * 8


def test_once_prompt_confirms_on_its_single_detection(segmenter: Sam2Segmenter) -> None:
    """No second detection will follow that could confirm the object."""
    scene = leave_and_return((0.7, 0.5))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("red circle.", mode="once"))
    rows = play(session, detector, scene, range(2))
    assert [track.label for track in rows[0][1].announced] == ["red circle"]


def test_lost_track_needs_reid_after_scene_cut(segmenter: Sam2Segmenter) -> None:
    """The track of a user's box must not move to another object that appears near its position after a scene cut."""
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=10)
    after = Body("green", "square", (0.45, 0.5), radius_m=0.25, first=10)
    scene = Scene((before, after), 320, 240, 5, cuts=(10,))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector)
    handle = session.prompt(BoxPrompt(truth(scene)(0)[0][1], "boxed"))
    rows = play(session, detector, scene, range(30))
    assert session.counts["scene_cuts"] == 1
    assert rows[9][1].by_id[handle.track_ids[0]].box is not None
    wrong_frames = [index for index, (_, result) in enumerate(rows) if index >= 10 and result.by_id[handle.track_ids[0]].box is not None]
    assert len(wrong_frames) <= 5, wrong_frames


def test_detected_track_needs_redetection_after_scene_cut(segmenter: Sam2Segmenter) -> None:
    """An object of the same color replaces the tracked object at the cut. The detector runs on that frame and does not find the object."""
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=13)
    after = Body("red", "square", (0.42, 0.5), radius_m=0.25, first=13)
    scene = Scene((before, after), 320, 240, 5, cuts=(13,))
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(40))
    (first,) = {track.id for track in rows[12][1].announced}
    assert 13 in [frame for frame, _ in detector.queries]
    assert [index for index, (_, result) in enumerate(rows) if index >= 13 and first in result.by_id and result.by_id[first].box] == []


def test_two_detections_of_one_object_become_one_track(segmenter: Sam2Segmenter) -> None:
    """Two prompts cover different parts of one object, and both tracks grow over the whole object."""
    scene = Scene((Body("red", "circle", (0.5, 0.5), radius_m=0.3),), 320, 240, 5)
    whole = truth(scene)(0)[0][1]
    session = Session(segmenter, ScriptedDetector(lambda frame: []), options=SessionOptions(merge_frames=3))
    first = session.prompt(BoxPrompt(whole, "red circle"))
    part = scene.render(0).instances > 0
    part[:, : int(whole[0] + 0.35 * (whole[2] - whole[0]))] = False
    second = session.prompt(MaskPrompt(part, "red circle"))
    rows = play(session, ScriptedDetector(truth(scene)), scene, range(5))
    assert first.track_ids != second.track_ids
    assert [track.id for track in rows[-1][1].tracks] == first.track_ids
    assert session.counts["duplicates_merged"] == 1


def test_drifted_track_is_corrected_with_its_id(segmenter: Sam2Segmenter) -> None:
    """The track covers the circle and the square below it. The detector gives the box of the circle."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = ScriptedDetector(lambda frame: truth(scene)(frame)[:1])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1, merge_frames=0))
    both = scene.render(0).instances > 0
    handle = session.prompt(MaskPrompt(both, "red circle"))
    play(session, detector, scene, range(1))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(1, 8))
    shot, result = rows[-1]
    assert [track.id for track in result.tracks] == handle.track_ids
    mask = result.by_id[handle.track_ids[0]].mask
    assert np.count_nonzero(mask & (shot.instances == 2)) < 0.2 * np.count_nonzero(shot.instances == 2)
    assert np.count_nonzero(mask & (shot.instances == 1)) > 0.7 * np.count_nonzero(shot.instances == 1)


def test_track_that_grew_over_its_neighbor_is_corrected_with_its_id(segmenter: Sam2Segmenter) -> None:
    """The box of the circle is far smaller than the mask and would start a second track. Its earlier detected area prevents that."""
    small, large = Body("red", "circle", (0.3, 0.5), radius_m=0.1), Body("red", "square", (0.55, 0.5), radius_m=0.25)
    scene = Scene((small, large), 320, 240, 5)
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector)
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    rows = play(session, detector, scene, range(2))
    (number,) = handle.track_ids
    assert np.count_nonzero(rows[-1][1].by_id[number].mask & (rows[-1][0].instances == 2)) > 1000, "it covers both"
    ((_, box), *_) = truth(scene)(0)
    session.state = session.state.with_track(replace(session.state.tracks[number], detected_box=box))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(2, 9))
    shot, result = rows[-1]
    assert {track.id for _, frame in rows for track in frame.tracks} == {number}
    assert np.count_nonzero(result.tracks[0].mask & (shot.instances == 2)) < 0.05 * np.count_nonzero(shot.instances == 2)
    assert np.count_nonzero(result.tracks[0].mask & (shot.instances == 1)) > 0.7 * np.count_nonzero(shot.instances == 1)


def test_background_result_without_frames_to_catch_up_creates_no_duplicate(segmenter: Sam2Segmenter) -> None:
    """The result arrives before the next image. The corrected track must still replace the old track of its id."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = ScriptedDetector(lambda frame: truth(scene)(frame)[:1])
    session = Session(segmenter, detector, background=True, options=SessionOptions(detect_every=1, merge_frames=0))
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    play(session, detector, scene, range(1))
    session.prompt(TextPrompt("red circle."))
    assert session.detections.worker is not None
    for index in range(1, 8):
        rows = play(session, detector, scene, range(index, index + 1))
        session.detections.worker.wait(20)
        assert session.tracker.ids == handle.track_ids
    session.close()
    shot, result = rows[-1]
    mask = result.by_id[handle.track_ids[0]].mask
    assert np.count_nonzero(mask & (shot.instances == 2)) < 0.2 * np.count_nonzero(shot.instances == 2)


def test_text_prompts_are_independent(segmenter: Sam2Segmenter) -> None:
    """Each prompt has its own interval. Replacing one keeps the tracks of the other. Removing one ends its detections."""
    bodies = (Body("red", "circle", (0.3, 0.3)), Body("blue", "star", (0.7, 0.3)), Body("green", "cross", (0.5, 0.75)))
    scene = Scene(bodies, 320, 240, 5)
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector)
    one = session.prompt(TextPrompt("red circle.", interval=2))
    two = session.prompt(TextPrompt("blue star.", interval=3))
    play(session, detector, scene, range(7))
    assert [phrases for _, phrases in detector.queries] == [
        ("red circle", "blue star"),
        ("red circle",),
        ("blue star",),
        ("red circle",),
        ("red circle", "blue star"),
    ]
    circle = one.track_ids[0]
    session.prompt(TextPrompt("green cross.", interval=2), replace_prompt_id=two.prompt_id)
    result = play(session, detector, scene, range(7, 12))[-1][1]
    assert sorted(track.label for track in result.announced) == ["blue star", "green cross", "red circle"]
    assert result.by_id[circle].label == "red circle"
    assert session.state.schedule.phrases == ("red circle", "green cross")
    session.remove_text(one.prompt_id)
    detector.queries.clear()
    play(session, detector, scene, range(12, 16))
    assert {phrase for _, phrases in detector.queries for phrase in phrases} == {"green cross"}


def test_unknown_prompt_id_is_refused_with_the_active_ids(segmenter: Sam2Segmenter) -> None:
    session = Session(segmenter, ScriptedDetector(lambda frame: []))
    handle = session.prompt(TextPrompt("red circle."))
    with pytest.raises(PromptError, match=rf"no text prompt 99: use the id of an active text or exemplar prompt \({handle.prompt_id}\)"):
        session.remove_text(99)
    with pytest.raises(PromptError, match="no text prompt 7"):
        session.prompt(TextPrompt("blue star."), replace_prompt_id=7)
    with pytest.raises(PromptError, match="only a continuous text prompt"):
        session.prompt(BoxPrompt((0, 0, 10, 10)), replace_prompt_id=handle.prompt_id)


@pytest.mark.parametrize("replaced", [False, True])
def test_ended_prompt_removes_its_tentative_objects(segmenter: Sam2Segmenter, replaced: bool) -> None:
    """No later detection can confirm these objects, so they would count towards `max_objects` forever."""
    scene = Scene((Body("red", "circle", (0.3, 0.3)),), 320, 240, 5)
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(min_hits=3, confirm_score_ratio=0.0))
    handle = session.prompt(TextPrompt("red circle."))
    result = play(session, detector, scene, range(2))[-1][1]
    assert [track.state for track in result.tracks] == [TrackStatus.TENTATIVE]
    if replaced:
        session.prompt(TextPrompt("blue star."), replace_prompt_id=handle.prompt_id)
    else:
        session.remove_text(handle.prompt_id)
    play(session, detector, scene, range(2, 4))
    assert session.tracker.ids == []


def test_drifted_track_stays_if_its_correction_fails(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network gives no valid mask for the box. The frame keeps its result and its old track, and the failure is counted."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = ScriptedDetector(lambda frame: truth(scene)(frame)[:1])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1, merge_frames=0))
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    play(session, detector, scene, range(1))

    def fail(*_: object) -> None:
        raise TrackerError("the network gave no numbers")

    monkeypatch.setattr(OpenFrame, "predict", fail)
    session.prompt(TextPrompt("red circle."))
    result = play(session, detector, scene, range(1, 8))[-1][1]
    assert [track.id for track in result.tracks] == handle.track_ids
    assert session.counts["predictions_refused"] > 0


def test_time_of_the_appearance_update_does_not_change_results(segmenter: Sam2Segmenter) -> None:
    """The update may run inside `step`, after it, or in the next `step`. It runs once and skips removed objects."""
    scene = leave_and_return((0.7, 0.5))
    outcomes = []
    for inside_step, after_step in ((True, False), (False, True), (False, False)):
        detector = ScriptedDetector(truth(scene))
        session = Session(segmenter, detector)
        session.prompt(TextPrompt("red circle. blue star."))
        for index in range(12):
            detector.frame = index
            result = session.step(Frame(scene.render(index).color, index * FRAME_NS), update_appearance=inside_step)
            if after_step:
                session.update_appearance()
        removed = result.tracks[0].id
        session.remove(removed)
        session.update_appearance()
        assert removed not in session.state.tracks
        outcomes.append((repr(session.state.tracks), [track.rle for track in result.tracks]))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert "appearance=array" in outcomes[0][0], "an object has an appearance model"
