# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""An exemplar prompt finds and tracks the objects that look like one example, on this stream or on another one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench.exemplar import with_kinds
from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.history.frame_history import FrameHistory
from lang2segtrack_ros.identity.exemplar_features import FeatureMatcher
from lang2segtrack_ros.models.loading import load_detector
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import body_box
from test.detection.networks import save_owlv2
from test.detection.test_exemplar import EMPTY, Matcher

KINDS = (("red", "circle"), ("red", "circle"), ("blue", "star"), ("green", "square"), ("orange", "cross"))
PERIOD_NS = 66_000_000


@pytest.fixture(scope="module")
def look_alikes() -> list[SceneFrame]:
    """Render two red circles among three other objects."""
    scene = with_kinds(make_clip("distractors", 3).scene, KINDS)
    return [scene.render(index) for index in range(40)]


@pytest.fixture
def session(segmenter: Sam2Segmenter) -> Iterator[Session]:
    session = Session(segmenter, options=SessionOptions(detect_every=10))
    yield session
    session.close()


def step(session: Session, frame: SceneFrame, index: int = 0) -> FrameResult:
    return session.step(Frame(frame.color, index * PERIOD_NS))


def bodies_of(result: FrameResult, frame: SceneFrame) -> dict[int, int]:
    """Return the body under each visible track, by id."""
    return {track.id: int(np.bincount(frame.instances[track.mask]).argmax()) for track in result.tracks if track.box is not None}


def test_both_look_alikes_are_tracked_and_no_other_object(session: Session, look_alikes: list[SceneFrame]) -> None:
    """The purpose of the prompt: one box, and the session tracks every object of this kind under a constant id, without a detector."""
    handle = session.prompt(ExemplarPrompt(body_box(look_alikes[0], 1), "mug"))
    results = [step(session, frame, index) for index, frame in enumerate(look_alikes)]
    assert (handle.error, handle.labels, handle.prompt_id) == ("", ["mug", "mug"], 1)
    assert {frozenset(bodies_of(result, frame).items()) for result, frame in zip(results, look_alikes)} == {frozenset({(1, 1), (2, 2)})}
    assert session.detections.runs == 4
    (prompt,) = session.continuous_prompts.values()
    assert isinstance(prompt, ExemplarPrompt)
    assert prompt.image is not None
    assert (prompt.image == look_alikes[0].color).all(), "the session keeps the exemplar"


def test_objects_are_found_again_on_another_recording(session: Session, frames: list[SceneFrame], look_alikes: list[SceneFrame]) -> None:
    """The exemplar comes from a picture of another scene. A prompt with mode once confirms its objects at once, and ends."""
    picture = frames[0]
    assert picture.bodies[1].label == "red circle"
    handle = session.prompt(ExemplarPrompt(body_box(picture, 1), "mug", picture.color, mode="once"))
    result = step(session, look_alikes[0])
    assert {bodies_of(result, look_alikes[0])[key] for key in handle.track_ids} == {1, 2}
    assert all(track.state.name == "TRACKED" for track in result.tracks)
    assert session.continuous_prompts == {}


def test_exemplar_is_on_the_next_image_though_the_matcher_is_busy(segmenter: Sam2Segmenter, look_alikes: list[SceneFrame]) -> None:
    """The user has drawn the box on the next image. The detection may start several images later."""
    session = Session(segmenter, background=True)
    try:
        session.prompt(ExemplarPrompt(body_box(look_alikes[0], 3), "star"))
        step(session, look_alikes[0])
        handle = session.prompt(ExemplarPrompt(body_box(look_alikes[1], 1), "mug"))
        for index, frame in enumerate(look_alikes[1:], 1):
            step(session, frame, index)
            assert session.detections.worker is not None
            session.detections.worker.wait(30.0)
            if handle.done:
                break
        assert handle.labels == ["mug", "mug"]
        prompt = session.continuous_prompts[handle.prompt_id]
        assert isinstance(prompt, ExemplarPrompt)
        assert prompt.image is not None
        assert (prompt.image == look_alikes[1].color).all()
    finally:
        session.close()


def test_refused_exemplars_end_and_leave_the_others(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """A box outside the image, and one without an object: each gets its sentence, and no later detection repeats the failure."""
    session = Session(segmenter, Matcher())
    outside = session.prompt(ExemplarPrompt((900, 900, 950, 950), "cup"))
    empty = session.prompt(ExemplarPrompt(EMPTY, "pen"))
    good = session.prompt(ExemplarPrompt(body_box(frames[0], 1), "mug"))
    step(session, frames[0])
    assert "lies outside the 320 x 240 image" in outside.error
    assert empty.error == "the box shows no object"
    assert (good.error, [*session.continuous_prompts]) == ("", [good.prompt_id])
    session.remove_text(good.prompt_id)
    assert session.continuous_prompts == {}


@pytest.mark.parametrize(
    ("kind", "takes_exemplars", "uses"),
    [("auto", True, Matcher), ("auto", False, FeatureMatcher), ("features", True, FeatureMatcher), ("detector", True, Matcher)],
)
def test_matcher_follows_the_option(segmenter: Sam2Segmenter, detector: Detector, kind: str, takes_exemplars: bool, uses: type) -> None:
    """A user with a strong detector gets it by default, and a user of any other detector gets the features."""
    session = Session(segmenter, Matcher() if takes_exemplars else detector, options=SessionOptions(exemplar=kind))
    assert isinstance(session.detections.matcher, uses)
    session.close()


def test_exemplar_goes_through_owlv2(segmenter: Sam2Segmenter, tmp_path: Path, look_alikes: list[SceneFrame]) -> None:
    """A random network finds nonsense, but the whole path runs on its real layout: encode, match, associate, answer, and again."""
    owlv2 = load_detector(save_owlv2(tmp_path), device="cpu")
    session = Session(segmenter, owlv2, options=SessionOptions(exemplar="detector", detect_every=2))
    assert session.detections.matcher is owlv2
    handle = session.prompt(ExemplarPrompt(body_box(look_alikes[0], 1), "mug", threshold=0.0))
    for index in range(5):
        result = step(session, look_alikes[index], index)
    assert (handle.error, set(handle.labels), {track.label for track in result.tracks}) == ("", {"mug"}, {"mug"})
    assert session.detections.runs > 1
    assert session.detections.errors == 0, session.detections.last_error
    session.close()


def test_detector_that_reads_names_only_is_refused(segmenter: Sam2Segmenter, detector: Detector) -> None:
    """The sentence says what to change."""
    session = Session(segmenter, detector, options=SessionOptions(exemplar="detector"))
    with pytest.raises(PromptError, match="finds objects by name only, and the option exemplar is detector: set it to auto or features"):
        session.prompt(ExemplarPrompt((1, 1, 9, 9), "mug"))


def test_out_of_memory_in_the_matcher_shrinks_it(session: Session, look_alikes: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """A matcher that does not fit into memory would fail on each detection for the rest of the stream."""
    find = ExemplarFinder.find

    def fail_at_full_size(self: ExemplarFinder, *arguments: object) -> object:
        assert isinstance(self.matcher, FeatureMatcher)
        if not self.matcher.segmenter.batch_limit:
            raise MemoryError
        return find(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ExemplarFinder, "find", fail_at_full_size)
    handle = session.prompt(ExemplarPrompt(body_box(look_alikes[0], 1), "mug"))
    for index in range(2):
        step(session, look_alikes[index], index)
    assert len(handle.track_ids) == 2
    assert session.degradation.count == 1


def test_backward_pass_verifies_objects_by_their_exemplar(segmenter: Sam2Segmenter, look_alikes: list[SceneFrame]) -> None:
    """The label of an exemplar is no text for the detector, so the pass must compare with the exemplar."""
    session = Session(segmenter, history=FrameHistory(max_seconds=60), options=SessionOptions(detect_every=5, detect_every_backward=2))
    session.prompt(ExemplarPrompt(body_box(look_alikes[6], 1), "mug", look_alikes[6].color))
    for index in range(6):
        step(session, look_alikes[index], index)
    results = list(session.refine_backward())
    assert [len([track for track in result.tracks if track.box is not None]) for result in results] == [2] * 6
    session.close()
