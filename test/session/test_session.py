# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Sessions with toy networks. Each case is a defect of the original program or a documented guarantee."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame, demo_scene
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, PointPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.cached import NETWORK, CachedSegmenter
from test.conftest import body_box, iou

PERIOD_NS = 66_666_667


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


def step(session: Session, frames: Sequence[SceneFrame], index: int) -> FrameResult:
    """Process one frame of a clip."""
    return session.step(Frame(frames[index].color, index * PERIOD_NS))


def bodies(result: FrameResult, frame: SceneFrame) -> dict[int, int]:
    """Return the body with the highest mask IoU for each visible track, by track id."""
    found = {}
    for track in result.tracks:
        if track.box is not None:
            overlaps = {body: iou(track.mask, frame.instances == body) for body in range(1, 5)}
            found[track.id] = max(overlaps, key=lambda body: overlaps[body])
    return found


@pytest.mark.parametrize("background", [False, True])
def test_text_prompt_starts_tracks_with_its_labels(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], background: bool
) -> None:
    session = Session(segmenter, detector, background=background)
    handle = session.prompt(TextPrompt("red circle. blue star."))
    for index in range(30):
        result = step(session, frames, index)
        if background:
            time.sleep(0.05)
    session.close()
    assert handle.done
    assert sorted(handle.labels) == ["blue star", "red circle"]
    assert sorted(handle.track_ids) == [track.id for track in result.tracks]
    body_of = {"red circle": 1, "blue star": 2}
    assert bodies(result, frames[29]) == {track.id: body_of[track.label] for track in result.tracks}


def test_late_detection_gives_masks_on_the_current_frame(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """The result for frame 0 arrives twelve frames later. The new mask must show the current position of the object."""

    class SlowDetector:
        name, default_threshold = "slow", detector.default_threshold
        check = staticmethod(detector.check)

        def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
            found = detector.detect(color, phrases, thresholds)
            while session.state.frame_index < 12:
                time.sleep(0.005)
            return found

    session = Session(segmenter, SlowDetector(), background=True, options=SessionOptions(detect_every=1000))
    handle = session.prompt(TextPrompt("blue star."))
    first = None
    for index in range(16):
        result = step(session, frames, index)
        assert bool(result.tracks) == handle.done
        if result.tracks and first is None:
            first = index
            assert iou(result.tracks[0].mask, frames[index].instances == 2) > 0.7
            assert iou(result.tracks[0].mask, frames[0].instances == 2) < 0.6, "the object must move for this test to be valid"
        if index == 12 and session.detections.worker is not None:
            session.detections.worker.wait(5)
    session.close()
    assert first == 13


def test_object_that_appears_after_an_empty_detection_is_found(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, scene: Scene
) -> None:
    """The original program added no object after a first detection without results."""
    empty = Scene((), scene.width, scene.height, scene.seed)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
    handle = session.prompt(TextPrompt("red circle"))
    for index in range(4):
        assert session.step(Frame(empty.render(index).color)).tracks == ()
    assert handle.done
    assert not handle.error
    assert "not found on this image: red circle; the detector looks again every 3 images" in handle.notes
    for index in range(4, 9):
        result = session.step(Frame(scene.render(index).color))
    assert [track.label for track in result.tracks] == ["red circle"]


def test_repeated_detections_create_no_duplicates(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """In the original program, new text during tracking created duplicates, and so did every periodic detection."""
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2))
    session.prompt(TextPrompt("red circle"))
    for index in range(6):
        step(session, frames, index)
    handle = session.prompt(TextPrompt("red circle. blue star"))
    for index in range(6, 14):
        result = step(session, frames, index)
    assert sorted(track.label for track in result.tracks) == ["blue star", "red circle"]
    assert sorted(handle.labels) == ["blue star", "red circle"], "the handle also lists the object that was already tracked"


def test_empty_detections_while_tracking_are_harmless(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """The original program crashed in this case."""
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1))
    session.prompt(BoxPrompt(body_box(frames[0], 1), "mine"))
    session.prompt(TextPrompt("green triangle"))
    for index in range(5):
        result = step(session, frames, index)
        assert result.detections == 0
    assert [track.label for track in result.tracks] == ["mine"]


def test_once_prompt_detects_on_one_image(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    session = Session(segmenter, detector, options=SessionOptions(detect_every=1))
    session.prompt(TextPrompt("red circle", mode="once"))
    assert step(session, frames, 0).detections == 1
    assert step(session, frames, 1).detections is None
    assert session.state.schedule.phrases == ()


def test_removed_track_is_reported_once(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    session.prompt(BoxPrompt(body_box(frames[0], 2)))
    step(session, frames, 0)
    session.remove(1)
    states = {track.id: track.state for track in step(session, frames, 1).tracks}
    assert states == {1: TrackStatus.REMOVED, 2: TrackStatus.TRACKED}
    assert [track.id for track in step(session, frames, 2).tracks] == [2]
    with pytest.raises(TrackerError, match="there is no track 1"):
        session.remove(1)


def test_reset_removes_all_objects_and_refuses_waiting_prompts(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    step(session, frames, 0)
    waiting = session.prompt(BoxPrompt(body_box(frames[0], 2)))
    session.reset()
    assert waiting.done
    assert "reset" in waiting.error
    assert [track.state for track in step(session, frames, 1).tracks] == [TrackStatus.REMOVED]
    assert step(session, frames, 2).tracks == ()


def test_invalid_prompt_leaves_the_frame_and_other_prompts_valid(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    bad = session.prompt(BoxPrompt((900, 900, 950, 950)))
    unknown = session.prompt(BoxPrompt((1, 1, 9, 9), track_id=12))
    good = session.prompt(BoxPrompt(body_box(frames[0], 1)))
    assert len(step(session, frames, 0).tracks) == 1
    assert "outside the 320 x 240 image" in bad.error
    assert "there is no track 12" in unknown.error
    assert good.track_ids == [1]


def test_text_without_a_detector_is_refused(segmenter: Sam2Segmenter) -> None:
    with pytest.raises(PromptError, match="no detector"):
        Session(segmenter).prompt(TextPrompt("cup"))


def test_unknown_words_are_reported(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    handle = Session(segmenter, detector).prompt(TextPrompt("shiny mug"))
    assert "does not know: shiny, mug" in handle.notes[0]


def test_detector_failure_is_reported_and_tracking_continues(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    class BrokenDetector:
        name, default_threshold = "broken", 0.5

        def check(self, phrases: Sequence[str]) -> list[str]:
            return []

        def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
            raise RuntimeError("lens cap")

    session = Session(segmenter, BrokenDetector())
    session.prompt(BoxPrompt(body_box(frames[0], 1)))
    handle = session.prompt(TextPrompt("cup"))
    assert len(step(session, frames, 0).tracks) == 1
    assert not handle.done, "the session retries the prompt"
    for index in (1, 2):
        assert len(step(session, frames, index).tracks) == 1
    assert handle.error == "the detector failed 3 times, the last time with RuntimeError: lens cap; detection continues"
    assert session.detections.errors == 3


def test_max_objects_limits_the_tracks_of_a_text_prompt(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    session = Session(segmenter, detector, options=SessionOptions(max_objects=1))
    handle = session.prompt(TextPrompt("red circle. blue star. yellow square."))
    assert len(step(session, frames, 0).tracks) == 1
    assert len(handle.track_ids) == 1


def test_lost_after_s_counts_seconds_of_the_timestamps(segmenter: Sam2Segmenter, scene: Scene) -> None:
    """A vanished object is occluded first and lost later. A clock jump of one hour counts as one step."""
    empty = Scene((), scene.width, scene.height, scene.seed)
    first = scene.render(0)
    session = Session(segmenter, options=SessionOptions(lost_after_s=2.0))
    session.prompt(BoxPrompt(body_box(first, 1)))
    session.step(Frame(first.color, 0))
    hidden = [session.step(Frame(empty.render(index).color, index * 500_000_000)).tracks[0] for index in range(1, 3)]
    assert [track.state for track in hidden] == [TrackStatus.OCCLUDED] * 2
    jumped = session.step(Frame(empty.render(9).color, 3_600_000_000_000)).tracks[0]
    assert jumped.state is TrackStatus.LOST
    back = session.step(Frame(empty.render(9).color, 0)).tracks[0]
    assert back.state is TrackStatus.LOST


def test_demo_clip_of_100_frames_has_no_id_switch(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    scene = demo_scene(320, 240)
    session = Session(segmenter, detector)
    session.prompt(TextPrompt("red circle. blue star. yellow square. purple cross."))
    shots = [scene.render(index) for index in range(100)]
    first: dict[int, int] | None = None
    for index in range(100):
        result = step(session, shots, index)
        first = first or bodies(result, shots[index])
        assert bodies(result, shots[index]) == first, f"frame {index}"
    assert first is not None
    assert len(first) == 4


def test_more_phrases_than_the_detector_reads_are_detected_in_turn(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Each prompt fits alone, but all prompts together do not. Every phrase must still be detected regularly."""
    queries: list[tuple[str, ...]] = []

    class TwoPhraseDetector:
        name, default_threshold = "two phrases", 0.5

        def check(self, phrases: Sequence[str]) -> list[str]:
            if len(phrases) > 2:
                raise PromptError("at most two phrases")
            return []

        def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
            queries.append(tuple(phrases))
            return []

    session = Session(segmenter, TwoPhraseDetector(), options=SessionOptions(detect_every=2))
    handles = [session.prompt(TextPrompt(name)) for name in ("cup", "box. pen", "key", "mug", "hat")]
    for index in range(8):
        step(session, frames, index)
    assert all(handle.done and not handle.error for handle in handles)
    assert {phrase for phrases in queries[4:] for phrase in phrases} == {"cup", "box", "pen", "key", "mug", "hat"}
    assert all(len(phrases) <= 2 for phrases in queries)


def test_prompt_on_a_tracked_object_corrects_it_unless_the_name_differs(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    """A click on a tracked object must not create a second object. A box with another name must, because the track may be wrong."""
    session = Session(segmenter, detector, options=SessionOptions(max_objects=2))
    found = session.prompt(TextPrompt("red circle. blue star."))
    for index in range(12):
        result = step(session, frames, index)
    by_label = dict(zip(found.labels, found.track_ids))
    box = body_box(frames[12], 1)
    center = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    click = session.prompt(PointPrompt((center,)))
    step(session, frames, 12)
    assert (click.track_ids, click.labels) == ([by_label["red circle"]], ["red circle"])

    boxes = [session.prompt(BoxPrompt(body_box(frames[13], 2), label)) for label in ("blue star", "", "sheriff's star")]
    for index in range(13, 24):
        result = step(session, frames, index)
    assert [handle.track_ids for handle in boxes] == [[by_label["blue star"]], [by_label["blue star"]], []]
    assert "2 objects are tracked already" in boxes[2].error
    assert {track.label: track.id for track in result.tracks} == by_label
    assert bodies(result, frames[23]) == {by_label["red circle"]: 1, by_label["blue star"]: 2}


def test_second_prompt_names_an_object_without_a_name(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    first = session.prompt(BoxPrompt(body_box(frames[0], 1)))
    step(session, frames, 0)
    second = session.prompt(BoxPrompt(body_box(frames[1], 1), "ball"))
    (track,) = step(session, frames, 1).tracks
    assert first.track_ids == second.track_ids == [track.id]
    assert track.label == "ball"
    third = session.prompt(BoxPrompt(body_box(frames[2], 1), "Ball "))
    (track,) = step(session, frames, 2).tracks
    assert (third.track_ids, third.labels, track.label) == ([track.id], ["ball"], "ball")


def test_second_prompt_on_the_same_image_adds_the_name(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    handles = [session.prompt(BoxPrompt(body_box(frames[0], 1), label)) for label in ("", "ball", "plate")]
    tracks = step(session, frames, 0).tracks
    assert [handle.labels for handle in handles] == [[""], ["ball"], ["plate"]]
    assert [track.label for track in tracks] == ["ball", "plate"], "another name is another object"


def test_prompted_object_is_not_removed_as_a_false_alarm(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A late detection misses the tentative object for the third time on the image of the prompt. The prompt of the user has priority."""
    session = Session(segmenter, detector, background=True, options=SessionOptions(detect_every=1, min_hits=9, confirm_score_ratio=0.0))
    assert session.detections.worker is not None
    session.prompt(TextPrompt("red circle."))
    step(session, frames, 0)
    session.detections.worker.wait(20)
    monkeypatch.setattr(detector, "detect", lambda *_: [])
    (tentative,) = step(session, frames, 1).tracks
    session.detections.worker.wait(20)
    session.state = session.state.with_track(replace(session.state.tracks[tentative.id], misses=2))
    box = session.prompt(BoxPrompt(body_box(frames[2], 1)))
    (track,) = step(session, frames, 2).announced
    session.close()
    assert session.counts["false_alarms"] == 1
    assert box.track_ids == [track.id] == [tentative.id]
    assert track.box is not None


def test_user_prompt_confirms_a_tentative_object(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]
) -> None:
    session = Session(segmenter, detector, options=SessionOptions(detect_every=100, min_hits=9, confirm_score_ratio=0.0))
    session.prompt(TextPrompt("red circle."))
    tentative = [track for track in step(session, frames, 0).tracks if track.state is TrackStatus.TENTATIVE]
    assert len(tentative) == 1
    box = session.prompt(BoxPrompt(body_box(frames[1], 1)))
    (track,) = step(session, frames, 1).announced
    assert box.track_ids == [track.id] == [tentative[0].id]
    assert track.label == "red circle"


def test_two_objects_prompted_on_one_image_stay_separate(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    session = Session(segmenter)
    handles = [session.prompt(BoxPrompt(body_box(frames[0], body), "same")) for body in (1, 2, 1)]
    result = step(session, frames, 0)
    first, second, repeated = (handle.track_ids for handle in handles)
    assert first == repeated != second
    assert len(result.tracks) == 2


def test_number_of_waiting_prompts_is_bounded(segmenter: Sam2Segmenter, detector: GroundingDinoDetector, frames: list[SceneFrame]) -> None:
    """Neither the queue of prompts nor the list of continuous text prompts may grow without limit."""
    session = Session(segmenter, detector, options=SessionOptions(detect_every=10_000))
    for _ in range(256):
        session.prompt(BoxPrompt(body_box(frames[0], 1)))
    with pytest.raises(PromptError, match="256 prompts already wait for an image"):
        session.prompt(BoxPrompt(body_box(frames[0], 1)))
    assert len(step(session, frames, 0).tracks) == 1, "all prompts show one object"
    assert session.waiting == 256 - 32, "the other prompts wait for the next images"
    session.reset()
    for _ in range(64):
        session.prompt(TextPrompt("red circle"))
    with pytest.raises(PromptError, match="64 text and exemplar prompts are active"):
        session.prompt(TextPrompt("red circle"))
