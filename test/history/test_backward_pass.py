# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Backward passes with the toy networks on scenes with ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.history.backward_pass import RefinementError
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, Source, TrackStatus
from test.cached import NETWORK, CachedSegmenter
from test.conftest import body_box, iou, swap_memories

PERIOD_NS = 66_666_667


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


class CountingDetector:
    """A detector that counts its calls."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.calls = detector, 0
        self.name = "counting"
        self.default_threshold, self.check = detector.default_threshold, detector.check

    def detect(self, *arguments: Any) -> list[Detection]:
        """Detect, and count."""
        self.calls += 1
        return self._detector.detect(*arguments)


def play(
    session: Session, frames: Sequence[SceneFrame], prompts: dict[int, int], stop: int, start: int = 0
) -> dict[tuple[int, int], np.ndarray]:
    """Step through frames start .. stop - 1, and return the forward masks by (track id, frame).

    Args:
        session: the session.
        frames: the rendered frames.
        prompts: for each body, the frame of its box prompt.
        stop: end of the range.
        start: first frame.
    """
    masks = {}
    for number in range(start, stop):
        for body, prompt_frame in sorted(prompts.items()):
            if prompt_frame == number:
                session.prompt(BoxPrompt(body_box(frames[number], body), f"body {body}"))
        for track in session.step(Frame(frames[number].color, number * PERIOD_NS)).tracks:
            masks[track.id, number] = track.mask
    return masks


def test_late_prompt_gives_a_trace_from_the_first_frame(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Users often prompt an object late. Its backward masks must be nearly as good as its forward masks.

    The pass must also encode each image at most once.
    """
    session = Session(segmenter, history=FrameHistory())
    play(session, frames, {1: 12, 2: 20}, 28)
    backward = session.backward()
    assert [progress.number for progress in backward.sweep()] == list(range(27, -1, -1))
    results = list(backward.results())
    assert [result.index for result in results] == list(range(28))
    assert [result.stamp_ns for result in results] == [number * PERIOD_NS for number in range(28)]
    for track_id, start in ((1, 12), (2, 20)):
        assert all(track_id in result.by_id for result in results), "the trace must be complete"
        overlap = [iou(result.by_id[track_id].mask, frames[result.index].instances == track_id) for result in results]
        assert np.mean(overlap[:start]) >= 0.9 * np.mean(overlap[start:])
        assert np.mean(overlap[:start]) > 0.8
        assert {result.by_id[track_id].source for result in results[:start]} == {Source.BACKWARD}
        assert {result.by_id[track_id].source for result in results[start:]} == {Source.FORWARD}
        assert {result.by_id[track_id].label for result in results} == {f"body {track_id}"}
    assert backward.encoded <= 21, "the pass must skip frames after the last start, and encode no image twice"
    assert backward.reused == 0


def test_kept_features_replace_encoding(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A history with features saves the most expensive part of the pass. An object from the start keeps the session from being idle."""
    session = Session(segmenter, history=FrameHistory(keep_features=True))
    play(session, frames, {2: 0, 1: 8}, 10)
    backward = session.backward()
    results = list(backward.run())
    assert (backward.encoded, backward.reused) == (0, 9)
    assert iou(results[0].by_id[2].mask, frames[0].instances == 1) > 0.8


def pillar_scene() -> list[SceneFrame]:
    """Render a circle that passes behind a nearer square: fully occluded on some frames, partly on others."""
    bodies = (
        Body("red", "circle", (0.5, 0.5), (0.33, 0.0), (120, 70), (-1.2, 0.0), 0.17, 2.4),
        Body("blue", "square", (0.5, 0.5), radius_m=0.14, depth_m=1.0),
    )
    scene = Scene(bodies, 320, 240)
    return [scene.render(index) for index in range(46)]


def test_merged_trace_is_at_least_as_good_around_an_occlusion(segmenter: Sam2Segmenter) -> None:
    """A wrong backward mask in a gap would make the trace worse than without the pass."""
    frames = pillar_scene()
    visible = [int((frame.instances == 1).sum()) for frame in frames]
    assert 0 in visible
    assert min(visible[0], visible[-1]) > 500, "the scene must hide the circle and show it again"
    session = Session(segmenter, history=FrameHistory())
    forward = play(session, frames, {1: 0}, len(frames))
    results = list(session.refine_backward())

    def quality(mask: np.ndarray, number: int) -> float:
        truth = frames[number].instances == 1
        return iou(mask, truth) if mask.any() or truth.any() else 1.0

    before = [quality(forward[1, number], number) for number in range(len(frames))]
    after = [quality(result.by_id[1].mask, result.index) for result in results]
    assert np.mean(after) >= np.mean(before) - 0.01
    merged = [result.index for result in results if result.by_id[1].source is Source.MERGED]
    assert all(np.array_equal(results[n].by_id[1].mask, forward[1, n]) for n in range(len(frames)) if n not in merged)
    assert sum(after[n] for n in merged) >= sum(before[n] for n in merged)


def test_correction_replaces_the_wrong_masks_before_it(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A track switches to another object at frame 10, and the user corrects it at frame 24.

    The backward masks must replace the forward masks from frame 24 back to the switch.
    """
    session = Session(segmenter, history=FrameHistory(), options=SessionOptions(resolve_crossings=False))
    play(session, frames, {1: 0, 2: 0}, 10)
    swap_memories(session)  # swaps the memories of the two objects
    forward = play(session, frames, {}, 24, start=10)
    swap_memories(session)
    session.prompt(BoxPrompt(body_box(frames[24], 1), track_id=1))
    play(session, frames, {}, 30, start=24)
    assert all(iou(forward[1, number], frames[number].instances == 1) < 0.3 for number in range(11, 24)), (
        "the track must follow the wrong object"
    )
    results = {result.index: result.by_id[1] for result in session.refine_backward()}
    overlap = [iou(results[number].mask, frames[number].instances == 1) for number in range(11, 24)]
    assert np.mean(overlap) > 0.7
    assert {results[number].source for number in range(12, 24)} == {Source.MERGED}


def test_pass_is_limited_to_the_requested_tracks(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Other tracks cost time, and a track id that the history lacks is an error."""
    session = Session(segmenter, history=FrameHistory())
    play(session, frames, {1: 3, 2: 3}, 6)
    assert {track.id for result in session.refine_backward([2]) for track in result.tracks} == {2}
    with pytest.raises(RefinementError, match="there is no track 9 on frames 0 to 5; tracks there: 1, 2"):
        session.refine_backward([9])


def test_object_that_was_not_seen_yet_is_refused(segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """The message must not say that the id is unknown."""
    empty = Scene((), scene.width, scene.height, scene.seed)
    session = Session(segmenter, history=FrameHistory(max_seconds=0.3))
    play(session, frames, {1: 0}, 2)
    for number in range(2, 10):
        session.step(Frame(empty.render(number).color, number * PERIOD_NS))
    with pytest.raises(RefinementError, match="track 1 is not visible on frames 5 to 9, so there is no mask to go back from"):
        session.refine_backward([1])


def absent_scene() -> list[SceneFrame]:
    """Render a circle that is absent on frames 10 to 29, beside a square of another color that stays."""
    away = np.tile([[0.3, 0.5, 2.4]], (45, 1))
    away[10:30] = [-10.0, -10.0, 2.4]
    bodies = (Body("red", "circle", radius_m=0.17, path=away), Body("blue", "square", (0.7, 0.5), radius_m=0.17, depth_m=2.4))
    scene = Scene(bodies, 320, 240)
    return [scene.render(index) for index in range(45)]


@pytest.mark.parametrize("prompts", [{1: 40, 2: 40}, {1: 40}], ids=["both", "absent one only"])
def test_absent_object_is_hidden_and_found_again(segmenter: Sam2Segmenter, prompts: dict[int, int]) -> None:
    """The network alone moves the track of an absent object to the object that stays, with a high score."""
    frames = absent_scene()
    session = Session(segmenter, history=FrameHistory())
    play(session, frames, prompts, len(frames))
    results = list(session.refine_backward())
    shown = [number for number in range(40) if 1 in results[number].by_id and results[number].by_id[1].box is not None]
    assert set(range(10, 30)).isdisjoint(shown)
    assert {*range(3, 10), *range(30, 40)} <= {*shown}
    assert all(iou(results[number].by_id[1].mask, frames[number].instances == 1) > 0.5 for number in shown)
    assert results[20].by_id[1].state in (TrackStatus.OCCLUDED, TrackStatus.LOST)
    assert all(results[number].by_id[1].confidence > 0.5 for number in shown)


def test_detector_finds_a_named_object_again(segmenter: Sam2Segmenter, detector: Detector) -> None:
    """Detections on past frames show the object where its masks alone would stay hidden."""
    frames = absent_scene()
    detections: list[int] = []
    for interval in (0, 3):
        session = Session(
            segmenter, CountingDetector(detector), history=FrameHistory(), options=SessionOptions(detect_every_backward=interval)
        )
        for number, shot in enumerate(frames):
            if number == 33:
                session.prompt(TextPrompt("red circle.", mode="once"))
            session.step(Frame(shot.color, number * PERIOD_NS))
        assert isinstance(session.detector, CountingDetector)
        before = session.detector.calls
        results = list(session.refine_backward())
        detections.append(session.detector.calls - before)
        shown = [number for number in range(33) if 1 in results[number].by_id and results[number].by_id[1].box is not None]
        assert set(range(10, 30)).isdisjoint(shown)
        assert {track.id for result in results for track in result.tracks} == {1}, "detections start no objects"
    assert detections[0] == 0
    assert 8 <= detections[1] <= 12
    assert {*range(3, 10)} <= {*shown}


def test_missing_or_empty_history_is_refused(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """An empty result would hide the mistake."""
    with pytest.raises(RefinementError, match="history=FrameHistory"):
        Session(segmenter).refine_backward()
    empty = Session(segmenter, history=FrameHistory())
    with pytest.raises(RefinementError, match="no object is visible in the empty history"):
        empty.refine_backward()


def test_cancelled_pass_yields_nothing(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A partial merge would look like a complete one."""
    session = Session(segmenter, history=FrameHistory())
    play(session, frames, {1: 6}, 8)
    calls: list[object] = []

    def stop(progress: object) -> bool:
        calls.append(progress)
        return len(calls) < 3

    assert list(session.refine_backward(progress=stop)) == []
    assert len(calls) == 3


def test_live_tracking_is_unchanged_during_a_sweep(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """On a robot the stream continues between the steps of a sweep, and the history drops the frames of the sweep meanwhile."""
    alone, shared = (Session(segmenter, history=FrameHistory(max_seconds=0.8)) for _ in range(2))
    play(alone, frames, {1: 10}, 26)
    expected = alone.last
    play(shared, frames, {1: 10}, 14)
    sweep = (backward := shared.backward()).sweep()
    for number in range(14, 26):
        next(sweep, None)
        play(shared, frames, {}, number + 1, start=number)
    list(sweep)
    last = shared.last
    assert last is not None
    assert expected is not None
    assert np.array_equal(last.by_id[1].mask, expected.by_id[1].mask)
    assert list(backward.results()) == [], "the history must have dropped all frames of the sweep"
    second_pass = list(shared.refine_backward())
    assert [result.index for result in second_pass] == shared.history.numbers() if shared.history else False


def test_states_follow_the_lifecycle_in_time_order(segmenter: Sam2Segmenter, scene: Scene, frames: list[SceneFrame]) -> None:
    """The merged trace needs the states that tracking in time order gives.

    An object that is absent for the first three seconds must be lost there. A removed object must be absent from the end of the trace.
    """
    empty = Scene((), scene.width, scene.height, scene.seed)
    shots = [*(empty.render(number) for number in range(6)), *frames[:4]]
    session = Session(segmenter, history=FrameHistory())
    for number, shot in enumerate(shots):
        if number == 7:
            session.prompt(BoxPrompt(body_box(shot, 1)))
        if number == 9:
            session.remove(1)
        session.step(Frame(shot.color, number * 600_000_000))
    results: list[FrameResult] = list(session.refine_backward())
    assert results[6].by_id[1].state is TrackStatus.TRACKED
    hidden = [result.by_id[1] for result in results[:6] if result.by_id[1].box is None]
    assert len(hidden) >= 4
    assert hidden[-1].state is TrackStatus.LOST
    assert hidden[-1].frames_since_seen >= 4
    assert results[9].tracks == ()


def test_interrupted_sweep_equals_uninterrupted_sweep(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """The node runs a sweep in pieces, between the images of the stream."""
    session = Session(segmenter, history=FrameHistory())
    play(session, frames, {1: 6, 3: 9}, 11)
    whole = list(session.refine_backward())
    backward = session.backward()
    for _ in range(20):
        next(iter(backward.sweep()), None)
    pieces = list(backward.results())
    assert [[track.rle for track in result.tracks] for result in pieces] == [[track.rle for track in result.tracks] for result in whole]
