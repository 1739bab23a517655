# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Crossings of similar objects in a session: a real tracker on toy clips, and a detector with scripted results."""

from __future__ import annotations

import time

import numpy as np
import pytest

from lang2segtrack_ros.identity import crossings
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from test.cached import NETWORK, CachedSegmenter
from test.conftest import swap_memories
from test.session.test_session_identity import FRAME_NS, ScriptedDetector, play, truth


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


def crossing() -> Scene:
    """Return a scene with a bright and a dark orange square that occlude each other between frames 13 and 27."""
    steps = np.arange(50)
    paths = [
        np.column_stack([0.5 + sign * 0.018 * (steps - 20), np.full(50, 0.5), np.full(50, depth)]) for sign, depth in ((1, 2.1), (-1, 2.0))
    ]
    gains = ((1.0, 1.0, 1.0), (0.75, 0.75, 0.75))
    bodies = tuple(Body("orange", "square", path=path, radius_m=0.2, color_gain=gain) for path, gain in zip(paths, gains))
    return Scene(bodies, 320, 240, 5)


@pytest.mark.parametrize("resolve_crossings", [True, False])
def test_objects_of_similar_color_keep_their_pixels_during_a_crossing(segmenter: Sam2Segmenter, resolve_crossings: bool) -> None:
    """The colors differ by 8 of 255, and so does the flickering light. Without the rule, the rear mask moves to the front object."""
    clip = make_clip("crossing", 0, 320, 240)
    session = Session(segmenter, options=SessionOptions(resolve_crossings=resolve_crossings))
    first = clip.scene.render(0).bodies
    handles = [session.prompt(BoxPrompt(first[number].box, "triangle")) for number in (1, 2)]  # type: ignore[arg-type]
    frames_with_leak = 0
    for index in range(36):
        shot = clip.scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
        front, behind = (np.count_nonzero(result.by_id[handle.track_ids[0]].mask & (shot.instances == 1)) for handle in handles)
        frames_with_leak += int(behind > front)
    assert (frames_with_leak <= 3) is resolve_crossings, f"the rear mask covers most of the front object on {frames_with_leak} frames"


@pytest.mark.parametrize("resolve_crossings", [True, False])
def test_id_switch_during_a_crossing_is_corrected(segmenter: Sam2Segmenter, resolve_crossings: bool) -> None:
    """Masks of similar objects can move to the other object during a crossing. The test exchanges the memories of both tracks."""
    scene = crossing()
    session = Session(segmenter, options=SessionOptions(resolve_crossings=resolve_crossings))
    handles = {number: session.prompt(BoxPrompt(body.box, "square")) for number, body in scene.render(0).bodies.items() if body.box}
    for index in range(40):
        if index == 19:
            swap_memories(session)
        shot = scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
    masks = {number: result.by_id[handle.track_ids[0]].mask for number, handle in handles.items()}
    pixels = {number: [np.count_nonzero(mask & (shot.instances == n)) for n in (number, 3 - number)] for number, mask in masks.items()}
    assert all(own > 4 * other for own, other in pixels.values()) is resolve_crossings, f"pixels on own and other object: {pixels}"
    assert (session.counts["crossings_resolved"] > 0) is resolve_crossings


def test_no_object_starts_during_an_unresolved_crossing(segmenter: Sam2Segmenter) -> None:
    """While two similar objects separate, both masks may fit badly. A detection of one object would then start a third track."""
    scene = crossing()
    true_boxes = truth(scene)

    def partial(frame: int) -> list[tuple[str, tuple[float, float, float, float]]]:
        if not 16 <= frame <= 24:
            return true_boxes(frame)
        ((label, (x_min, y_min, x_max, y_max)), *_) = true_boxes(frame)
        return [(label, (x_min, y_min, x_min + (x_max - x_min) / 4, y_max))]

    detector = ScriptedDetector(partial)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2))
    session.prompt(TextPrompt("orange square.", mode="continuous"))
    rows = play(session, detector, scene, range(44))
    assert {track.id for _, result in rows for track in result.tracks} == {1, 2}


@pytest.mark.parametrize("background", [False, True])
def test_detections_resolve_a_crossing_without_visible_parts(
    segmenter: Sam2Segmenter, background: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The masks may show no two parts, for example if one object is lost. A late detection must work too."""
    monkeypatch.setattr(crossings, "_parts", lambda *_: [])
    scene = crossing()
    detector = ScriptedDetector(truth(scene))
    session = Session(segmenter, detector, background=background, options=SessionOptions(detect_every=2))  # type: ignore[arg-type]
    session.prompt(TextPrompt("orange square.", mode="continuous"))
    owners: dict[int, int] = {}
    for index in range(44):
        if index == 19:
            assert len(session.tracker.ids) == 2
            swap_memories(session)
        detector.frame = index
        shot = scene.render(index)
        result = session.step(Frame(shot.color, index * FRAME_NS))
        if background:
            time.sleep(0.02)  # give the detector thread time
        if index == 10:
            for track in result.tracks:
                owners[track.id] = max((1, 2), key=lambda number: np.count_nonzero(track.mask & (shot.instances == number)))
    assert sorted(owners.values()) == [1, 2]
    for track_id, number in owners.items():
        own, other = (np.count_nonzero(result.by_id[track_id].mask & (shot.instances == n)) for n in (number, 3 - number))
        assert own > 4 * other, f"object {number}: {own} pixels on itself, {other} on the other object"
    assert len(result.tracks) == 2, "no object gets a second id"
    session.close()


def test_user_correction_ends_a_crossing(segmenter: Sam2Segmenter) -> None:
    """The user prompts both objects during the crossing. Their earlier color models must not override these prompts."""
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
