# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions in a session: a real tracker on toy clips, the grammar on true boxes, and resolvers that are slow or fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResult
from lang2segtrack_ros.instructions.grammar_resolver import GrammarResolver
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.catch_up import CaughtUp
from lang2segtrack_ros.session.instruction_state import MAX_INSTRUCTIONS
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.body import Body
from lang2segtrack_ros.toyworld.scene import Scene
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.events import EventKind
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus
from test.cached import NETWORK, CachedSegmenter
from test.conftest import body_box, iou
from test.session.test_degradation import raise_in
from test.session.test_session_identity import FRAME_NS, ScriptedDetector, play, truth

LEFT = "the red circle left of the blue star"


def across(start: float = 0.2, end: float = 0.8, frames: int = 40) -> np.ndarray:
    """Return a path from `start` to `end` in the width of the image, which rests before and after."""
    x = np.concatenate([np.full(5, start), np.linspace(start, end, frames), np.full(60, end)])
    return np.stack([x, np.full(len(x), 0.3), np.full(len(x), 2.0)], axis=1)


SCENE = Scene((Body("red", "circle", path=across()), Body("blue", "star", (0.5, 0.7)), Body("green", "square", (0.85, 0.75))), 320, 240, 5)
"""The red circle passes above the blue star, from its left to its right."""
TWO = Scene((Body("red", "circle", (0.2, 0.4)), Body("red", "circle", (0.75, 0.4)), Body("blue", "star", (0.5, 0.7))), 320, 240, 5)


@pytest.fixture(scope="module")
def segmenter(segmenter: Sam2Segmenter) -> Sam2Segmenter:
    """Cache the network, because the tests process the same images many times."""
    return CachedSegmenter(segmenter, NETWORK)


def make_session(segmenter: Sam2Segmenter, scene: Scene = SCENE, options: SessionOptions | None = None) -> tuple[Session, ScriptedDetector]:
    """Return a session with the grammar on true boxes, and its detector."""
    detector = ScriptedDetector(truth(scene))
    return Session(segmenter, detector, options=options, resolver=GrammarResolver(detector)), detector


def continuous(text: str, verify_every_s: float = 0.2) -> InstructionPrompt:
    return InstructionPrompt(text, mode="continuous", verify_every_s=verify_every_s)


def events(results: Sequence[tuple[object, FrameResult]]) -> list[tuple[EventKind, tuple[int, ...]]]:
    """Return kind and ids of all events."""
    return [(event.kind, event.track_ids) for _, result in results for event in result.events]


class Blocked:
    """A resolver that answers when it is released, from what it saw on the image of the request.

    Args:
        script: chooses objects on the image of a request.
    """

    name = "blocked"

    def __init__(self, script: list[Detection], error: Exception | None = None) -> None:
        self.script, self.error = script, error
        self.release, self.started = threading.Event(), threading.Event()
        self.requests: list[InstructionRequest] = []

    def check(self, prompt: InstructionPrompt) -> list[str]:
        return []

    def resolve(self, request: InstructionRequest) -> InstructionResult:
        self.requests.append(request)
        self.started.set()
        assert self.release.wait(30)
        if self.error is not None:
            raise self.error
        return InstructionResult(request, tuple(self.script), reasons=("it was said",) * len(self.script))

    def close(self) -> None:
        self.release.set()

    def metrics(self) -> dict[str, object]:
        return {"requests": len(self.requests)}


def finish_request(session: Session, resolver: Blocked) -> None:
    """Let the request in progress end."""
    resolver.release.set()
    assert session.instructions._thread is not None
    session.instructions._thread.join(30)


def test_instruction_starts_the_object_that_it_means(segmenter: Sam2Segmenter) -> None:
    """Two circles fit the noun, and only one the relation. The answer has what a caller needs to check it."""
    session, detector = make_session(segmenter, TWO)
    handle = session.prompt(InstructionPrompt(LEFT))
    rows = play(session, detector, TWO, range(4))
    shot, result = rows[-1]
    (track,) = result.tracks
    assert iou(track.mask, shot.instances == 1) > 0.8
    assert (handle.track_ids, handle.labels, handle.status) == ([track.id], ["red circle"], PromptStatus.DONE)
    assert handle.outcome.plan == ('target 1: the only "red circle" left of the only "blue star"',)
    assert "left of #" in handle.outcome.reasons[0]
    assert not handle.outcome.missing


def test_tracked_object_keeps_its_track_and_label(segmenter: Sam2Segmenter) -> None:
    """A second track on the same pixels would split the identity; the user has named the object already."""
    session, detector = make_session(segmenter, TWO)
    session.prompt(BoxPrompt(body_box(TWO.render(0), 1), "my ball"))
    play(session, detector, TWO, range(2))
    handle = session.prompt(InstructionPrompt(LEFT))
    ((_, result),) = play(session, detector, TWO, range(2, 4))[1:]
    assert (handle.track_ids, handle.labels) == ([1], ["my ball"])
    assert [track.id for track in result.tracks] == [1]


def test_instruction_without_objects_says_why(segmenter: Sam2Segmenter) -> None:
    """The prompt is applied, starts nothing, and names the condition that no object fulfills."""
    session, detector = make_session(segmenter, TWO)
    handle = session.prompt(InstructionPrompt("the red circle below the blue star"))
    play(session, detector, TWO, range(3))
    assert (handle.error, handle.track_ids) == ("", [])
    assert "below" in handle.outcome.missing[0]


def test_ambiguous_instruction_is_refused(segmenter: Sam2Segmenter) -> None:
    """The grammar never guesses between two circles. That is no failure of the software, so diagnostics show no error."""
    session, detector = make_session(segmenter, TWO)
    handle = session.prompt(InstructionPrompt("the red circle"))
    play(session, detector, TWO, range(3))
    assert handle.track_ids == []
    assert "2" in (handle.error or handle.outcome.missing[0])
    assert session.last_errors == []


def test_unreadable_instruction_is_refused_at_once(segmenter: Sam2Segmenter) -> None:
    """The caller gets the sentence before any image, and nothing waits."""
    session, _ = make_session(segmenter)
    with pytest.raises(PromptError, match='cannot read "quickly"'):
        session.prompt(InstructionPrompt("the circle quickly"))
    assert session.is_idle


def test_session_without_a_resolver_refuses_instructions(segmenter: Sam2Segmenter) -> None:
    """The sentence says which argument is missing."""
    with pytest.raises(PromptError, match="resolver=GrammarResolver"):
        Session(segmenter).prompt(InstructionPrompt(LEFT))


def test_late_answer_lands_on_the_moved_object(segmenter: Sam2Segmenter) -> None:
    """A server takes 34 images for its answer, more than the cache holds. The object has crossed the image meanwhile."""
    shot = SCENE.render(6)
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(shot, 1))))])  # type: ignore[arg-type]  # four edges
    session = Session(segmenter, ScriptedDetector(truth(SCENE)), background=True, resolver=resolver)
    handle = session.prompt(InstructionPrompt("whatever"))
    session.step(Frame(shot.color, 6 * FRAME_NS))
    assert resolver.started.wait(30)
    for index in range(7, 40):
        assert not session.step(Frame(SCENE.render(index).color, index * FRAME_NS)).tracks
    assert handle.status is PromptStatus.RESOLVING
    finish_request(session, resolver)
    shot = SCENE.render(40)
    result = session.step(Frame(shot.color, 40 * FRAME_NS))
    session.close()
    (track,) = result.tracks
    assert iou(track.mask, shot.instances == 1) > 0.8
    assert handle.track_ids == [track.id]


def test_detections_go_on_while_an_instruction_waits(segmenter: Sam2Segmenter) -> None:
    """A slow server must not delay the identity of other objects. The late answer then finds the object that a text prompt has started."""
    shot = SCENE.render(0)
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(shot, 1))))])  # type: ignore[arg-type]  # four edges
    detector = ScriptedDetector(truth(SCENE))
    session = Session(segmenter, detector, background=True, resolver=resolver, options=SessionOptions(detect_every=2))
    instruction = session.prompt(InstructionPrompt("whatever"))
    play(session, detector, SCENE, range(1))
    text = session.prompt(TextPrompt("red circle."))
    for index in range(1, 8):
        play(session, detector, SCENE, range(index, index + 1))
        assert session.detections.worker is not None
        session.detections.worker.wait(30)
    assert text.track_ids == [1]
    finish_request(session, resolver)
    _, result = play(session, detector, SCENE, range(8, 11))[-1]  # a frame catches up with one late result
    session.close()
    assert [track.id for track in result.announced] == [1]
    assert instruction.track_ids == [1]


def test_instruction_is_answered_while_detections_arrive_on_each_frame(segmenter: Sam2Segmenter) -> None:
    """On a slow stream, each detection ends before the next image. An instruction and the checks of another one get their turn, too."""
    detector = ScriptedDetector(truth(SCENE))
    resolver = GrammarResolver(detector)
    session = Session(segmenter, detector, background=True, resolver=resolver, options=SessionOptions(detect_every=1))
    session.prompt(TextPrompt("green square."))
    session.prompt(continuous("the blue star", 0.01))
    instruction = None
    detections = 0
    for index in range(24):
        if index == 4:
            instruction = session.prompt(InstructionPrompt("the largest red circle"))
        (result,) = (result for _, result in play(session, detector, SCENE, range(index, index + 1)))
        detections += result.detections is not None
        assert session.detections.worker is not None
        session.detections.worker.wait(30)
        if session.instructions._thread is not None:
            session.instructions._thread.join(30)
    session.close()
    assert instruction is not None
    assert len(instruction.track_ids) == 1
    assert session.instructions.answered >= 5
    assert detections >= 5


def test_continuous_instruction_follows_the_scene(segmenter: Sam2Segmenter) -> None:
    """The circle passes the star: the track is let go after two answers, and its end is an event and a removed track."""
    session, detector = make_session(segmenter)
    handle = session.prompt(continuous(LEFT))
    rows = play(session, detector, SCENE, range(60))
    assert handle.prompt_id in session.continuous_instructions
    assert handle.track_ids == [1]
    assert events(rows) == [(EventKind.CHOSEN, (1,)), (EventKind.MISSING, ()), (EventKind.RELEASED, (1,))]
    release = next(result for _, result in rows if any(event.kind is EventKind.RELEASED for event in result.events))
    assert release.by_id[1].state is TrackStatus.REMOVED
    assert rows[-1][1].tracks == ()


def test_continuous_instruction_adds_what_fits_later(segmenter: Sam2Segmenter) -> None:
    """Until the circle is right of the star, the instruction reports once that it is missing, and not at each check."""
    session, detector = make_session(segmenter)
    session.prompt(continuous("the red circle right of the blue star"))
    rows = play(session, detector, SCENE, range(60))
    assert events(rows) == [(EventKind.MISSING, ()), (EventKind.CHOSEN, (1,))]
    shot, result = rows[-1]
    assert iou(result.by_id[1].mask, shot.instances == 1) > 0.8


def test_track_of_the_user_stays_when_it_no_longer_fits(segmenter: Sam2Segmenter) -> None:
    """The instruction has chosen a track that a box prompt had started; only the user ends it."""
    session, detector = make_session(segmenter)
    session.prompt(BoxPrompt(body_box(SCENE.render(0), 1), "red circle"))
    play(session, detector, SCENE, range(1))
    session.prompt(continuous(LEFT))
    rows = play(session, detector, SCENE, range(1, 60))
    assert (EventKind.RELEASED, (1,)) in events(rows)
    assert [track.id for track in rows[-1][1].tracks] == [1]


def test_hidden_track_is_not_let_go(segmenter: Sam2Segmenter) -> None:
    """An object out of view was not judged: its place in the relation is unknown."""
    leaving = Scene((Body("red", "circle", (0.2, 0.3), last=10), Body("blue", "star", (0.5, 0.7))), 320, 240, 5)
    session, detector = make_session(segmenter, leaving)
    handle = session.prompt(continuous(LEFT))
    rows = play(session, detector, leaving, range(40))
    assert handle.track_ids == [1]
    assert EventKind.RELEASED not in [kind for kind, _ in events(rows)]
    assert rows[-1][1].by_id[1].state is not TrackStatus.REMOVED


def test_removed_instruction_keeps_its_tracks(segmenter: Sam2Segmenter) -> None:
    """As with text prompts. A request in progress has no effect any more."""
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(SCENE.render(0), 1))))])  # type: ignore[arg-type]  # four edges
    session = Session(segmenter, background=True, resolver=resolver)
    handle = session.prompt(continuous("whatever"))
    session.step(Frame(SCENE.render(0).color, 0))
    session.remove_text(handle.prompt_id)
    finish_request(session, resolver)
    assert "removed" in handle.error
    result = session.step(Frame(SCENE.render(1).color, FRAME_NS))
    session.close()
    assert (result.tracks, session.continuous_instructions) == ((), {})


def test_reset_ends_instructions(segmenter: Sam2Segmenter) -> None:
    """A late answer to an instruction from before the reset starts nothing."""
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(SCENE.render(0), 1))))])  # type: ignore[arg-type]  # four edges
    session = Session(segmenter, background=True, resolver=resolver)
    handle = session.prompt(continuous("whatever"))
    session.step(Frame(SCENE.render(0).color, 0))
    session.reset()
    finish_request(session, resolver)
    assert "reset" in handle.error
    assert session.step(Frame(SCENE.render(1).color, FRAME_NS)).tracks == ()
    assert session.is_idle
    session.close()


def test_failure_of_a_resolver_reaches_the_caller(segmenter: Sam2Segmenter) -> None:
    """The stream goes on, the failure is counted, and the next instruction is answered."""
    resolver = Blocked([], ConnectionError("the server does not answer: start it"))
    session = Session(segmenter, background=True, resolver=resolver)
    once, again = session.prompt(InstructionPrompt("whatever")), session.prompt(continuous("whatever"))
    session.step(Frame(SCENE.render(0).color, 0))
    finish_request(session, resolver)
    result = session.step(Frame(SCENE.render(1).color, FRAME_NS))
    assert once.error == "the server does not answer: start it"
    assert [event.kind for event in result.events] == [EventKind.FAILED]
    finish_request(session, resolver)
    session.step(Frame(SCENE.render(2).color, 2 * FRAME_NS))
    assert (again.error, again.prompt_id in session.continuous_instructions) == ("", True)
    assert "asked again later" in again.notes[0]
    assert session.last_errors == ["instructions: the server does not answer: start it"]
    assert session.instructions.metrics["instructions_failed"] == 2
    session.close()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="nothing"),
        pytest.param("boxes", id="a text"),
        pytest.param([Detection("ball", 0.9, (0.0, 0.0, 9.0, 9.0))], id="a list"),
    ],
)
def test_wrong_result_of_a_resolver_is_a_failure(segmenter: Sam2Segmenter, wrong: object) -> None:
    """A resolver may be a user's own class."""
    resolver = Blocked([])
    resolver.resolve = lambda request: wrong  # type: ignore[assignment,method-assign,return-value]
    session = Session(segmenter, resolver=resolver)
    handle = session.prompt(InstructionPrompt("whatever"))
    for index in range(2):
        session.step(Frame(SCENE.render(index).color, index * FRAME_NS))
    assert "must return an InstructionResult" in handle.error


def test_more_objects_than_the_session_holds(segmenter: Sam2Segmenter) -> None:
    """The instruction is refused as a whole, so that no object is left out at random."""
    session, detector = make_session(segmenter, TWO, SessionOptions(max_objects=1))
    handle = session.prompt(InstructionPrompt("all red circles"))
    play(session, detector, TWO, range(3))
    assert "the maximum is 1" in handle.error
    assert handle.track_ids == []


def test_too_many_continuous_instructions_are_refused(segmenter: Sam2Segmenter) -> None:
    """Each costs detections for ever."""
    session, _ = make_session(segmenter)
    for _ in range(MAX_INSTRUCTIONS):
        session.prompt(continuous(LEFT))
    with pytest.raises(PromptError, match="remove one"):
        session.prompt(continuous(LEFT))


def test_answer_for_another_image_size_is_asked_again(segmenter: Sam2Segmenter) -> None:
    """Its boxes are in pixels of the old size."""
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(SCENE.render(0), 1))))])  # type: ignore[arg-type]  # four edges
    session = Session(segmenter, background=True, resolver=resolver)
    handle = session.prompt(InstructionPrompt("whatever"))
    session.step(Frame(SCENE.render(0).color, 0))
    session.step(Frame(np.zeros((120, 160, 3), np.uint8), FRAME_NS))
    finish_request(session, resolver)
    session.step(Frame(SCENE.render(1).color, 2 * FRAME_NS))
    assert handle.status in (PromptStatus.QUEUED, PromptStatus.RESOLVING)
    session.close()


def test_only_a_waiting_instruction_asks_for_depth(segmenter: Sam2Segmenter) -> None:
    """The node completes frames with depth on request only, because waiting for depth delays masks."""
    session, detector = make_session(segmenter)
    assert not session.needs_depth
    session.prompt(continuous(LEFT, 1.0))
    assert session.needs_depth
    play(session, detector, SCENE, range(10))
    assert not session.needs_depth
    play(session, detector, SCENE, range(10, 17))
    assert session.needs_depth


def answered_session(segmenter: Sam2Segmenter, mode: str = "once") -> tuple[Session, PromptHandle]:
    """Return a session with an answer from frame 0 that waits for the next frame."""
    resolver = Blocked([Detection("ball", 0.9, tuple(map(float, body_box(SCENE.render(0), 1))))])  # type: ignore[arg-type]  # four edges
    session = Session(segmenter, background=True, resolver=resolver)
    handle = session.prompt(InstructionPrompt("whatever", mode=mode))  # type: ignore[arg-type]  # one of the modes
    session.step(Frame(SCENE.render(0).color, 0))
    finish_request(session, resolver)
    return session, handle


def test_answer_survives_a_failed_frame(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is not asked twice because one image could not be processed."""
    session, handle = answered_session(segmenter)
    frame = Frame(SCENE.render(1).color, FRAME_NS)
    with monkeypatch.context() as patch:
        raise_in(patch, "open", RuntimeError("injected failure"), lambda *_: True, Tracker)
        with pytest.raises(RuntimeError, match="injected failure"):
            session.step(frame)
    assert not handle.done
    result = session.step(frame)
    session.close()
    assert [track.id for track in result.tracks] == handle.track_ids == [1]
    assert session.instructions.answered == 1


@pytest.mark.parametrize("mode", ["once", "continuous"])
def test_answer_that_fails_every_frame_is_dropped(segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """One unexpected answer must not stop the stream. A continuous instruction is asked again at its next check."""
    session, handle = answered_session(segmenter, mode)
    frame = Frame(SCENE.render(1).color, FRAME_NS)
    with monkeypatch.context() as patch:
        raise_in(patch, "_run", ArithmeticError("injected failure"), lambda *_: True, CaughtUp)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(ArithmeticError):
                session.step(frame)
        tracks = session.step(frame).tracks
    session.close()
    assert tracks == ()
    message = handle.error if mode == "once" else handle.notes[0]
    assert "could not be applied to 3 images, the last time: ArithmeticError: injected failure" in message
    assert (handle.prompt_id in session.continuous_instructions) == (mode == "continuous")
