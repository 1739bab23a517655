# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of identity at work in a session: a real tracker on toy clips, and a detector that says what each test needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.crossings import Crossings
from lang2segtrack_ros.identity.track_registry import IdentityOptions
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import Body, Scene, SceneFrame
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.tracking.open_frame import OpenFrame, TrackerError
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus

FRAME_NS = 1_000_000_000 // 15
Boxes = Callable[[int], list[tuple[str, tuple[float, float, float, float]]]]


class Scripted:
    """A detector that finds what a test tells it to."""

    name = "scripted"
    default_threshold = 0.3

    def __init__(self, script: Boxes) -> None:
        self.script = script
        self.frame = -1
        self.asked: list[tuple[int, tuple[str, ...]]] = []

    def check(self, phrases: Sequence[str]) -> list[str]:
        return []

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        self.asked.append((self.frame, tuple(phrases)))
        return [Detection(label, 0.9, box) for label, box in self.script(self.frame) if label in phrases]


def truth(scene: Scene) -> Boxes:
    """Finds every body that shows at least 200 pixels, in its true box."""

    def boxes(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        seen = [body for body in scene.render(frame).bodies.values() if body.visible > 200 and body.box is not None]
        return [(body.label, tuple(map(float, body.box))) for body in seen if body.box is not None]  # type: ignore[misc]

    return boxes


def play(session: Session, detector: Scripted, scene: Scene, frames: range) -> list[tuple[SceneFrame, FrameResult]]:
    rows = []
    for index in frames:
        detector.frame = index
        shot = scene.render(index)
        rows.append((shot, session.step(Frame(shot.color, index * FRAME_NS))))
    return rows


def away_and_back(path_of_return: tuple[float, float], back: Body | None = None) -> Scene:
    """A red circle that is seen for 20 frames, gone for 30 (two seconds), and back elsewhere; or another body in its place."""
    path = np.tile([-5.0, -5.0, 2.0], (80, 1))
    path[:20, :2] = (0.3, 0.3)
    path[50:, :2] = path_of_return
    mine = Body("red", "circle", path=path, radius_m=0.22)
    other = Body("blue", "star", (0.2, 0.8), (0.05, 0.02), radius_m=0.2)
    if back is None:
        return Scene((mine, other), 320, 240, 3)
    gone = replace(mine, last=20)
    return Scene((gone, other, replace(back, path=path, first=50)), 320, 240, 3)


def test_an_object_that_comes_back_has_its_old_id(segmenter: Sam2Segmenter) -> None:
    scene = away_and_back((0.7, 0.5))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(lost_after_s=1.0))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(75))
    (first,) = {track.id for track in rows[15][1].announced}
    assert rows[45][1].by_id[first].state is TrackStatus.LOST
    shot, result = rows[74]
    assert [track.id for track in result.tracks] == [first]
    mask, true = result.by_id[first].mask, shot.instances == 1
    assert np.count_nonzero(mask & true) > 0.7 * np.count_nonzero(mask | true)


def test_another_object_of_that_name_gets_a_new_id(segmenter: Sam2Segmenter) -> None:
    """Something that is called the same but looks different is somebody else, whatever the tracker takes it for."""
    scene = away_and_back((0.7, 0.5), back=Body("green", "cross", radius_m=0.22))
    named = truth(scene)

    def misnamed(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        return [("red circle" if label == "green cross" else label, box) for label, box in named(frame)]

    detector = Scripted(misnamed)
    session = Session(segmenter, detector, options=SessionOptions(lost_after_s=1.0))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(75))
    (first,) = {track.id for track in rows[15][1].announced}
    result = rows[74][1]
    assert result.by_id[first].box is None, "the old id must not sit on the newcomer"
    assert [track.label for track in result.announced if track.id != first and track.box is not None] == ["red circle"]


def test_a_false_alarm_is_never_announced(segmenter: Sam2Segmenter) -> None:
    scene = away_and_back((0.7, 0.5))
    detector = Scripted(lambda frame: [("red circle", (200.0, 150.0, 240.0, 200.0))] if frame == 0 else [])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2))
    handle = session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(8))
    assert len(handle.track_ids) == 1
    assert rows[0][1].tracks[0].state is TrackStatus.TENTATIVE
    assert all(track.state is TrackStatus.REMOVED for _, result in rows for track in result.announced)
    assert rows[-1][1].tracks == ()
    assert session.registry.false_alarms == 1


def test_what_waits_to_be_confirmed_is_looked_for_twice_as_often(segmenter: Sam2Segmenter) -> None:
    scene = away_and_back((0.7, 0.5))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(detect_every=6))
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(11))
    assert [frame for frame, _ in detector.asked] == [0, 3, 9]
    assert [bool(result.announced) for _, result in rows] == [False] * 3 + [True] * 8


def test_looking_once_announces_at_once(segmenter: Sam2Segmenter) -> None:
    """Nobody will look a second time, so there is nothing to wait for."""
    scene = away_and_back((0.7, 0.5))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("red circle.", mode="once"))
    rows = play(session, detector, scene, range(2))
    assert [track.label for track in rows[0][1].announced] == ["red circle"]


def test_after_a_scene_cut_nothing_is_followed_onto_something_else(segmenter: Sam2Segmenter) -> None:
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=10)
    after = Body("green", "square", (0.45, 0.5), radius_m=0.25, first=10)
    scene = Scene((before, after), 320, 240, 5, cuts=(10,))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector)
    handle = session.prompt(BoxPrompt(truth(scene)(0)[0][1], "mine"))
    rows = play(session, detector, scene, range(30))
    assert session.scene_cuts == 1
    assert rows[9][1].by_id[handle.track_ids[0]].box is not None
    strays = [index for index, (_, result) in enumerate(rows) if index >= 10 and result.by_id[handle.track_ids[0]].box is not None]
    assert len(strays) <= 5, strays


def test_after_a_scene_cut_what_is_looked_for_must_be_found(segmenter: Sam2Segmenter) -> None:
    """Something of the same colour stands where the object was; the detector is asked on the very frame and says what it is not."""
    before = Body("red", "circle", (0.4, 0.5), radius_m=0.25, last=13)
    after = Body("red", "square", (0.42, 0.5), radius_m=0.25, first=13)
    scene = Scene((before, after), 320, 240, 5, cuts=(13,))
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(40))
    (first,) = {track.id for track in rows[12][1].announced}
    assert 13 in [frame for frame, _ in detector.asked]
    assert [index for index, (_, result) in enumerate(rows) if index >= 13 and first in result.by_id and result.by_id[first].box] == []


def test_two_detections_of_one_object_become_one_track(segmenter: Sam2Segmenter) -> None:
    """Two parts of one object, far enough apart to be taken for two, whose tracks both grow over the whole."""
    scene = Scene((Body("red", "circle", (0.5, 0.5), radius_m=0.3),), 320, 240, 5)
    whole = truth(scene)(0)[0][1]
    session = Session(segmenter, Scripted(lambda frame: []), options=SessionOptions(identity=IdentityOptions(merge_frames=3)))
    first = session.prompt(BoxPrompt(whole, "red circle"))
    part = scene.render(0).instances > 0
    part[:, : int(whole[0] + 0.35 * (whole[2] - whole[0]))] = False
    second = session.prompt(MaskPrompt(part, "red circle"))
    rows = play(session, Scripted(truth(scene)), scene, range(5))
    assert first.track_ids != second.track_ids
    assert [track.id for track in rows[-1][1].tracks] == first.track_ids
    assert session.registry.merged == 1


def test_a_track_that_has_drifted_is_set_back_under_its_id(segmenter: Sam2Segmenter) -> None:
    """It covers the circle and the square below it; the detector's box is the circle's."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = Scripted(lambda frame: truth(scene)(frame)[:1])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1, identity=IdentityOptions(merge_frames=0)))
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


def test_a_track_that_has_swollen_over_its_neighbours_is_set_back_under_its_id(segmenter: Sam2Segmenter) -> None:
    """The detector's box of the circle is far smaller than the mask, and would become a second track; it is as large as it was before."""
    small, large = Body("red", "circle", (0.3, 0.5), radius_m=0.1), Body("red", "square", (0.55, 0.5), radius_m=0.25)
    scene = Scene((small, large), 320, 240, 5)
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector)
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    rows = play(session, detector, scene, range(2))
    (number,) = handle.track_ids
    assert np.count_nonzero(rows[-1][1].by_id[number].mask & (rows[-1][0].instances == 2)) > 1000, "it covers both"
    ((_, box), *_) = truth(scene)(0)
    session.registry.record_detected_area(number, "red circle", box)
    session.prompt(TextPrompt("red circle."))
    rows = play(session, detector, scene, range(2, 9))
    shot, result = rows[-1]
    assert {track.id for _, frame in rows for track in frame.tracks} == {number}
    assert np.count_nonzero(result.tracks[0].mask & (shot.instances == 2)) < 0.05 * np.count_nonzero(shot.instances == 2)
    assert np.count_nonzero(result.tracks[0].mask & (shot.instances == 1)) > 0.7 * np.count_nonzero(shot.instances == 1)


def test_an_answer_that_comes_before_the_next_image_doubles_no_track(segmenter: Sam2Segmenter) -> None:
    """There is nothing to catch up then, but what was set anew still replaces what it was: one id is one track."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = Scripted(lambda frame: truth(scene)(frame)[:1])
    session = Session(
        segmenter, detector, background=True, options=SessionOptions(detect_every=1, identity=IdentityOptions(merge_frames=0))
    )
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    play(session, detector, scene, range(1))
    session.prompt(TextPrompt("red circle."))
    assert session._worker is not None
    for index in range(1, 8):
        rows = play(session, detector, scene, range(index, index + 1))
        session._worker.wait(20)
        assert session.tracker.ids == handle.track_ids
    session.close()
    shot, result = rows[-1]
    mask = result.by_id[handle.track_ids[0]].mask
    assert np.count_nonzero(mask & (shot.instances == 2)) < 0.2 * np.count_nonzero(shot.instances == 2)


def test_text_prompts_live_side_by_side(segmenter: Sam2Segmenter) -> None:
    """Two prompts with rates of their own; changing one leaves the other's tracks, and removing one ends its looks."""
    bodies = (Body("red", "circle", (0.3, 0.3)), Body("blue", "star", (0.7, 0.3)), Body("green", "cross", (0.5, 0.75)))
    scene = Scene(bodies, 320, 240, 5)
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector)
    one = session.prompt(TextPrompt("red circle.", interval=2))
    two = session.prompt(TextPrompt("blue star.", interval=3))
    play(session, detector, scene, range(7))
    assert [phrases for _, phrases in detector.asked] == [
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
    assert session.phrases == ("red circle", "green cross")
    session.remove_text(one.prompt_id)
    detector.asked.clear()
    play(session, detector, scene, range(12, 16))
    assert {phrase for _, phrases in detector.asked for phrase in phrases} == {"green cross"}


def test_unknown_prompt_numbers_are_refused_with_the_known_ones(segmenter: Sam2Segmenter) -> None:
    session = Session(segmenter, Scripted(lambda frame: []))
    handle = session.prompt(TextPrompt("red circle."))
    with pytest.raises(PromptError, match=rf"no text prompt 99; looked for now: {handle.prompt_id}"):
        session.remove_text(99)
    with pytest.raises(PromptError, match="no text prompt 7"):
        session.prompt(TextPrompt("blue star."), replace_prompt_id=7)
    with pytest.raises(PromptError, match="only a continuous text prompt"):
        session.prompt(BoxPrompt((0, 0, 10, 10)), replace_prompt_id=handle.prompt_id)


@pytest.mark.parametrize("changed", [False, True])
def test_a_prompt_that_ends_takes_its_unannounced_objects_along(segmenter: Sam2Segmenter, changed: bool) -> None:
    """No look can confirm them any more; they would hold a place for ever."""
    scene = Scene((Body("red", "circle", (0.3, 0.3)),), 320, 240, 5)
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, options=SessionOptions(identity=IdentityOptions(min_hits=3)))
    handle = session.prompt(TextPrompt("red circle."))
    result = play(session, detector, scene, range(2))[-1][1]
    assert [track.state for track in result.tracks] == [TrackStatus.TENTATIVE]
    if changed:
        session.prompt(TextPrompt("blue star."), replace_prompt_id=handle.prompt_id)
    else:
        session.remove_text(handle.prompt_id)
    play(session, detector, scene, range(2, 4))
    assert session.tracker.ids == []


def test_a_drifted_track_stays_when_its_detection_gives_no_mask(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network makes nothing of the box: the frame has its result, the old track lives, and it is counted."""
    bodies = (Body("red", "circle", (0.5, 0.35), radius_m=0.2), Body("red", "square", (0.5, 0.62), radius_m=0.2))
    scene = Scene(bodies, 320, 240, 5)
    detector = Scripted(lambda frame: truth(scene)(frame)[:1])
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1, identity=IdentityOptions(merge_frames=0)))
    handle = session.prompt(MaskPrompt(scene.render(0).instances > 0, "red circle"))
    play(session, detector, scene, range(1))

    def fail(*_: object) -> None:
        raise TrackerError("the network gave no numbers")

    monkeypatch.setattr(OpenFrame, "predict", fail)
    session.prompt(TextPrompt("red circle."))
    result = play(session, detector, scene, range(1, 8))[-1][1]
    assert [track.id for track in result.tracks] == handle.track_ids
    assert session.counts["predictions_refused"] > 0


def crossing() -> Scene:
    """A bright and a dark orange square that pass in front of each other between frames 13 and 27."""
    steps = np.arange(50)
    paths = [
        np.column_stack([0.5 + sign * 0.018 * (steps - 20), np.full(50, 0.5), np.full(50, away)]) for sign, away in ((1, 2.1), (-1, 2.0))
    ]
    tints = ((1.0, 1.0, 1.0), (0.75, 0.75, 0.75))
    return Scene(tuple(Body("orange", "square", path=path, radius_m=0.2, tint=tint) for path, tint in zip(paths, tints)), 320, 240, 5)


@pytest.mark.parametrize("resolve_crossings", [True, False])
def test_two_of_nearly_one_colour_keep_their_pixels_while_they_cross(segmenter: Sam2Segmenter, resolve_crossings: bool) -> None:
    """They differ by 8 of 255, and the light flickers by as much: left alone, the mask of the one behind goes over to the one in front."""
    clip = make_clip("crossing", 0, 320, 240)
    session = Session(segmenter, options=SessionOptions(identity=IdentityOptions(resolve_crossings=resolve_crossings)))
    first = clip.scene.render(0).bodies
    handles = [session.prompt(BoxPrompt(first[number].box, "triangle")) for number in (1, 2)]  # type: ignore[arg-type]
    taken = 0
    for index in range(36):
        shot = clip.scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
        front, behind = (np.count_nonzero(result.by_id[handle.track_ids[0]].mask & (shot.instances == 1)) for handle in handles)
        taken += int(behind > front)
    assert (taken <= 3) is resolve_crossings, f"on {taken} frames the one in front is covered by the other's mask rather than its own"


@pytest.mark.parametrize("resolve_crossings", [True, False])
def test_two_that_change_places_while_they_meet_get_their_ids_back(segmenter: Sam2Segmenter, resolve_crossings: bool) -> None:
    """Each track slips onto the other object, as masks do where look-alikes cross: here by exchanging their memories."""
    scene = crossing()
    session = Session(segmenter, options=SessionOptions(identity=IdentityOptions(resolve_crossings=resolve_crossings)))
    handles = {number: session.prompt(BoxPrompt(body.box, "square")) for number, body in scene.render(0).bodies.items() if body.box}
    for index in range(40):
        if index == 19:
            session.tracker.ids.reverse()
        shot = scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
    masks = {number: result.by_id[handle.track_ids[0]].mask for number, handle in handles.items()}
    pixels = {number: [np.count_nonzero(mask & (shot.instances == n)) for n in (number, 3 - number)] for number, mask in masks.items()}
    assert all(own > 4 * other for own, other in pixels.values()) is resolve_crossings, f"pixels of itself and of the other: {pixels}"
    assert (session.counts["crossings_resolved"] > 0) is resolve_crossings


def test_nothing_begins_on_two_that_are_not_told_apart(segmenter: Sam2Segmenter) -> None:
    """While two look-alikes part, a track may cover neither of them well, and the detection of one would become a third object."""
    scene = crossing()
    find = truth(scene)

    def half(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        if not 16 <= frame <= 24:
            return find(frame)
        ((label, (x_min, y_min, x_max, y_max)), *_) = find(frame)
        return [(label, (x_min, y_min, x_min + (x_max - x_min) / 4, y_max))]

    detector = Scripted(half)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2))
    session.prompt(TextPrompt("orange square.", mode="continuous"))
    rows = play(session, detector, scene, range(44))
    assert {track.id for _, result in rows for track in result.tracks} == {1, 2}


@pytest.mark.parametrize("background", [False, True])
def test_the_detectors_boxes_settle_a_meeting_too(segmenter: Sam2Segmenter, background: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the masks do not show two parts, say because one object is lost; also when the answer comes late."""
    monkeypatch.setattr(Crossings, "_parts", lambda *_: [])
    scene = crossing()
    detector = Scripted(truth(scene))
    session = Session(segmenter, detector, background=background, options=SessionOptions(detect_every=2))  # type: ignore[arg-type]
    session.prompt(TextPrompt("orange square.", mode="continuous"))
    owners: dict[int, int] = {}
    for index in range(44):
        if index == 19:
            assert len(session.tracker.ids) == 2
            session.tracker.ids.reverse()
        detector.frame = index
        shot = scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
        if background:
            time.sleep(0.02)  # the detector's thread has its turn
        if index == 10:
            for track in result.tracks:
                owners[track.id] = max((1, 2), key=lambda number: np.count_nonzero(track.mask & (shot.instances == number)))
    assert sorted(owners.values()) == [1, 2]
    for track_id, number in owners.items():
        own, other = (np.count_nonzero(result.by_id[track_id].mask & (shot.instances == n)) for n in (number, 3 - number))
        assert own > 4 * other, f"object {number}: {own} pixels of its own, {other} of the other's"
    assert len(result.tracks) == 2, "nobody gets a second id"
    session.close()


def test_a_correction_by_the_user_outweighs_what_is_known(segmenter: Sam2Segmenter) -> None:
    """Who says where both are while they meet has settled it; what they looked like before is not held against that."""
    scene = crossing()
    session = Session(segmenter)
    handles = {number: session.prompt(BoxPrompt(body.box, "square")) for number, body in scene.render(0).bodies.items() if body.box}
    for index in range(50):
        shot = scene.render(index)
        if index == 26:
            for number, body in shot.bodies.items():
                assert body.box is not None
                session.prompt(BoxPrompt(body.box, "", handles[number].track_ids[0]))
        session.step(Frame(shot.color, index * FRAME_NS))
    assert session.counts["crossings_resolved"] == 0


def test_when_a_frame_is_learnt_from_makes_no_difference(segmenter: Sam2Segmenter) -> None:
    """A result need not wait for it: it may be done after the result, or by the next frame, but once, and for nobody who is gone."""
    scene = away_and_back((0.7, 0.5))
    told = []
    for by_step, at_once in ((True, False), (False, True), (False, False)):
        detector = Scripted(truth(scene))
        session = Session(segmenter, detector)
        session.prompt(TextPrompt("red circle. blue star."))
        for index in range(12):
            detector.frame = index
            result = session.step(Frame(scene.render(index).color, index * FRAME_NS), update_appearance=by_step)
            if at_once:
                session.update_appearance()
        gone = result.tracks[0].id
        session.remove(gone)
        session.update_appearance()
        assert gone not in session._crossings._models
        told.append((repr(session.registry), repr(session._crossings), [track.rle for track in result.tracks]))
    assert told[0] == told[1] == told[2]
    assert "appearance=array" in told[0][0], "something was learnt"
