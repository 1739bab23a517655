# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A frame that fails leaves no trace, at whichever call it fails.

Each case restores a session, raises in one call of a step, and steps through the same frames again. Results and mask logits must equal, bit
for bit, those of a session that never failed. `python -m test.session.test_failure_atomicity 300` tries random calls in place of the
first call of each function.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult, run_detection
from lang2segtrack_ros.recordings.bags import checkpoint
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.conftest import body_box
from test.logits import LogitsProbe

AFTER = 2
"""Frames that are compared, from the failed one on."""
CORE = ("session", "identity", "tracking", "runtime", "detection/scheduler")
"""Rooms whose functions fail in the test. The command line tries calls of all rooms."""


class InjectedError(Exception):
    """Raised by the test."""


class DelayedWorker:
    """A detector thread without a thread: a result is ready a fixed number of `take` calls after its request."""

    restarts = 0

    def __init__(self, detector: Detector, delay: int) -> None:
        self.detector, self.delay, self.waited = detector, delay, 0
        self.request: DetectionRequest | None = None

    @property
    def idle(self) -> bool:
        return self.request is None

    def submit(self, request: DetectionRequest) -> None:
        self.request, self.waited = request, 0

    def take(self) -> DetectionResult | None:
        self.waited += 1
        if self.request is None or self.waited <= self.delay:
            return None
        request, self.request = self.request, None
        return run_detection(self.detector, request)


@dataclass
class Scenario:
    """A session just before an eventful frame.

    Attributes:
        path: checkpoint of the session.
        networks: the networks by name.
        frames: the eventful frame and those after it.
        expected: outcome of these frames without a failure.
    """

    path: Path
    networks: dict[str, Any]
    frames: list[Frame]
    expected: list[tuple[Any, ...]] = field(default_factory=list)

    def restore(self) -> Session:
        """Return the session as it was saved."""
        session: Session = checkpoint.load(self.path, self.networks)
        return session


def save(session: Session, networks: dict[str, Any], frames: list[Frame], path: Path) -> Scenario:
    checkpoint.save(path, session, networks)
    scenario = Scenario(path, networks, frames)
    scenario.expected = outcome(scenario.restore(), frames)
    return scenario


def summary(result: FrameResult, logits: LogitsProbe) -> tuple[Any, ...]:
    tracks = [(t.id, t.label, t.state, t.score, t.box, t.mask.tobytes(), t.motion_score, t.stable_frames) for t in result.tracks]
    return repr(tracks), result.index, result.prompted, {key: value.tobytes() for key, value in sorted(logits.items())}


def outcome(session: Session, frames: list[Frame]) -> list[tuple[Any, ...]]:
    """Step through frames and return everything that is visible of them."""
    logits = LogitsProbe(session.tracker)
    return [summary(session.step(frame), logits) for frame in frames]


def crossing(segmenter: Sam2Segmenter, detector: Detector, path: Path) -> Scenario:
    """Two look-alikes in a crossing, found by text, with a correction by the user on the frame that fails."""
    clip = make_clip("crossing", seed=1, width=320, height=240)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
    session.prompt(TextPrompt(f"{clip.scene.bodies[0].label}."))
    return play(session, {"segmenter": segmenter, "detector": detector}, clip, path, count=27, correct=True)


def late_detection(segmenter: Sam2Segmenter, detector: Detector, path: Path) -> Scenario:
    """A result for an earlier frame arrives, while an unseen object is removed for its age."""
    clip = make_clip("exit_return", seed=2, width=320, height=240)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2, remove_after_s=0.4))
    session._worker = DelayedWorker(detector, 2)  # type: ignore[assignment]
    names = dict.fromkeys(body.label for body in clip.scene.bodies if body.label)
    session.prompt(TextPrompt(". ".join(names) + "."))
    return play(session, {"segmenter": segmenter, "detector": detector}, clip, path, count=12, correct=False)


def play(session: Session, networks: dict[str, Any], clip: Clip, path: Path, count: int, correct: bool) -> Scenario:
    """Play a clip up to a frame, and save the session there."""
    frames = [Frame(clip.scene.render(index).color, index * 66_000_000) for index in range(count + AFTER)]
    for frame in frames[:count]:
        session.step(frame)
    if correct and session.last is not None and session.last.tracks:
        body = clip.scene.render(count)
        session.prompt(BoxPrompt(body_box(body, 1), track_id=session.last.tracks[0].id))
        session.prompt(BoxPrompt((5.0, 5.0, 60.0, 60.0), "corner"))
    return save(session, networks, frames[count:], path)


SCENARIOS: dict[str, Callable[[Sam2Segmenter, Detector, Path], Scenario]] = {"crossing": crossing, "late_detection": late_detection}


def calls(scenario: Scenario) -> list[CodeType]:
    """Return the code of each call of this package in the step of the first frame, in order."""
    found: list[CodeType] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "lang2segtrack_ros" in frame.f_code.co_filename:
            found.append(frame.f_code)

    session = scenario.restore()
    sys.setprofile(record)
    try:
        session.step(scenario.frames[0], update_appearance=False)
    finally:
        sys.setprofile(None)
    return found


def fail_at(session: Session, frame: Frame, number: int) -> bool:
    """Raise in one call of a step. Return False if the call belongs to the detector, whose failures the session handles itself."""
    count = 0
    inside_detector = False

    def inject(stack: FrameType, event: str, _: object) -> None:
        nonlocal count, inside_detector
        if event == "call" and "lang2segtrack_ros" in stack.f_code.co_filename:
            if count == number:
                outer: FrameType | None = stack
                while outer is not None:
                    inside_detector = inside_detector or outer.f_code.co_name == "run_detection"
                    outer = outer.f_back
                count += 1
                raise InjectedError(stack.f_code.co_name)
            count += 1

    sys.setprofile(inject)
    try:
        session.step(frame, update_appearance=False)
    except InjectedError:
        return True
    finally:
        sys.setprofile(None)
    assert inside_detector, "the session swallowed an exception"
    return False


def check(scenario: Scenario, numbers: list[int], codes: list[CodeType]) -> int:
    """Fail at each call and compare what follows; return the number of failed frames."""
    failed = 0
    for number in numbers:
        session = scenario.restore()
        if not fail_at(session, scenario.frames[0], number):
            continue
        failed += 1
        for index, (found, expected) in enumerate(zip(outcome(session, scenario.frames), scenario.expected)):
            assert found == expected, f"call {number} ({codes[number].co_qualname}) left a trace on frame {index} after the failure"
    return failed


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failure_in_any_function_leaves_no_trace(name: str, segmenter: Sam2Segmenter, detector: Detector, tmp_path: Path) -> None:
    """The first call of every function that a step reaches fails once."""
    scenario = SCENARIOS[name](segmenter, detector, tmp_path / "session")
    codes = calls(scenario)
    core = [(number, code) for number, code in enumerate(codes) if any(f"lang2segtrack_ros/{room}" in code.co_filename for room in CORE)]
    numbers = sorted({code: number for number, code in reversed(core)}.values())
    failed = check(scenario, numbers, codes)
    print(f"{name}: {len(numbers)} functions, {failed} failed frames")
    assert failed > 60


def test_a_trace_is_noticed(segmenter: Sam2Segmenter, detector: Detector, tmp_path: Path) -> None:
    """The check must see memories that are written before a failure."""
    scenario = crossing(segmenter, detector, tmp_path / "session")
    session = scenario.restore()
    session.tracker.bank.features[0, 0] += 1.0
    assert outcome(session, scenario.frames) != scenario.expected


if __name__ == "__main__":
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter

    chosen = random.Random(0)
    for scenario_name, make in SCENARIOS.items():
        prepared = make(load_segmenter("toy", "cpu"), load_detector("toy", "cpu"), Path(tempfile.mkdtemp()) / "session")
        all_codes = calls(prepared)
        sample = sorted(chosen.sample(range(len(all_codes)), min(int(sys.argv[1]), len(all_codes))))
        count = check(prepared, sample, all_codes)
        print(f"{scenario_name}: {len(all_codes)} calls, {len(sample)} tried, {count} failed frames, no trace")
