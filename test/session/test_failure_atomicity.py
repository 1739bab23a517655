# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A frame that fails leaves no trace, at whichever call it fails.

Each case restores a session, raises in one call of a step, and steps through the same frames again. Results and mask logits must equal, bit
for bit, those of a session that never failed. Sessions in the same state give the same frames, so each state steps through them once.
`python -m test.session.test_failure_atomicity 300` tries random calls of all rooms instead.
"""

from __future__ import annotations

import io
import pickle
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult, run_detection
from lang2segtrack_ros.models.loading import at_size
from lang2segtrack_ros.recordings import checkpoint
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.suites import Clip, make_clip
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult
from test.cached import NETWORK, CachedSegmenter, parts
from test.conftest import DEVICE, body_box
from test.logits import LogitsProbe

AFTER = 2
"""Frames that are compared, from the failed one on."""
CORE = ("session", "identity", "tracking", "runtime", "detection/schedule", "detection/pending")
"""Rooms whose functions fail in the test. The command line tries calls of all rooms."""


class InjectedError(Exception):
    """Raised by the test."""


class FailingSegmenter(CachedSegmenter):
    """A segmenter of which one call fails on demand. The test repeats the same frames hundreds of times, so it has a cache.

    Attributes:
        failing: name of the function that fails, empty for none.
        calls_until_failure: number of its calls before the one that fails.
    """

    def __init__(self, segmenter: Sam2Segmenter, cached: tuple[str, ...]) -> None:
        super().__init__(segmenter, cached)
        self.failing = ""
        self.calls_until_failure = 0
        for name in NETWORK:
            setattr(self, name, partial(self._call, name, getattr(self, name)))

    def _call(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if name == self.failing:
            self.calls_until_failure -= 1
            if self.calls_until_failure < 0:
                self.failing = ""
                raise InjectedError(name)
        return function(*args, **kwargs)


class CachedDetector:
    """The detector with a cache of its detections."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.name, self.default_threshold = detector, detector.name, detector.default_threshold
        self.detections: dict[tuple[Any, ...], list[Detection]] = {}

    def check(self, phrases: Sequence[str]) -> list[str]:
        return self.detector.check(phrases)

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        key = (color.tobytes(), tuple(phrases), tuple(thresholds))
        if key not in self.detections:
            self.detections[key] = self.detector.detect(color, phrases, thresholds)
        return self.detections[key]


class DelayedWorker:
    """A detector thread without a thread: a result is ready a fixed number of frames after its request."""

    restarts = 0

    def __init__(self, detector: Detector, delay: int) -> None:
        self.detector, self.delay, self.frames = detector, delay, 0
        self.request: DetectionRequest | None = None

    @property
    def idle(self) -> bool:
        return self.request is None

    def submit(self, request: DetectionRequest) -> None:
        self.request, self.frames = request, 0

    @property
    def result(self) -> DetectionResult | None:
        self.frames += 1
        if self.request is None or self.frames <= self.delay:
            return None
        return replace(run_detection(self.detector, self.request), seconds=0.0)  # the only value that depends on the clock

    def discard_result(self) -> None:
        self.request = None


class StateWriter(pickle.Pickler):
    """A writer of the state of a session, in which equal tensors are equal bytes.

    Args:
        file: receives the bytes.
        networks: the networks by name, which are no part of the state.
    """

    def __init__(self, file: io.BytesIO, networks: dict[str, Any]) -> None:
        super().__init__(file)
        self.names = {id(item): name for name, item in networks.items()}

    def persistent_id(self, item: Any) -> str | None:
        return self.names.get(id(item))

    def reducer_override(self, item: Any) -> Any:
        return (tuple, (list(parts(item)),)) if isinstance(item, Tensor) else NotImplemented


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

    def state(self, session: Session) -> bytes:
        """Return a digest of the whole state of a session."""
        file = io.BytesIO()
        StateWriter(file, self.networks).dump(session)
        return blake2b(file.getbuffer()).digest()


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


def crossing(segmenter: FailingSegmenter, detector: Detector, path: Path) -> Scenario:
    """Two look-alikes in a crossing, found by text, with a correction by the user on the frame that fails."""
    clip = make_clip("crossing", seed=1, width=320, height=240)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=3))
    session.prompt(TextPrompt(f"{clip.scene.bodies[0].label}."))
    return play(session, {"segmenter": segmenter, "detector": detector}, clip, path, count=27, correct=True)


def late_detection(segmenter: FailingSegmenter, detector: Detector, path: Path) -> Scenario:
    """A result for an earlier frame arrives, while an unseen object is removed for its age."""
    clip = make_clip("exit_return", seed=2, width=320, height=240)
    session = Session(segmenter, detector, options=SessionOptions(detect_every=2, remove_after_s=0.4))
    session.detections.worker = DelayedWorker(detector, 2)  # type: ignore[assignment]
    names = dict.fromkeys(body.label for body in clip.scene.bodies if body.label)
    session.prompt(TextPrompt(". ".join(names) + "."))
    return play(session, {"segmenter": segmenter, "detector": detector}, clip, path, count=12, correct=False)


def play(session: Session, networks: dict[str, Any], clip: Clip, path: Path, count: int, correct: bool) -> Scenario:
    """Play a clip up to a frame, and save the session there."""
    frames = [Frame(clip.scene.render(index).color, index * 66_000_000) for index in range(count + AFTER)]
    for frame in frames[:count]:
        session.step(frame)
    if correct and session.last is not None and session.last.tracks:
        shot = clip.scene.render(count)
        visible = max(shot.bodies, key=lambda number: shot.bodies[number].visible)
        session.prompt(BoxPrompt(body_box(shot, visible), track_id=session.last.tracks[0].id))
        session.prompt(BoxPrompt((5.0, 5.0, 60.0, 60.0), "corner"))
    return save(session, networks, frames[count:], path)


def scene_cut(segmenter: FailingSegmenter, detector: Detector, path: Path) -> Scenario:
    """A scene cut with a detection inside the frame, while a box prompt and a point prompt wait and an object is gone."""
    clip = make_clip("scene_cut", seed=1, width=320, height=240)
    cut = clip.scene.cuts[0]
    session = Session(segmenter, detector, options=SessionOptions(detect_every=4))
    names = dict.fromkeys(body.label for body in clip.scene.bodies if body.label)
    session.prompt(TextPrompt(". ".join(names) + "."))
    return play(session, {"segmenter": segmenter, "detector": detector}, clip, path, count=cut, correct=True)


Make = Callable[[FailingSegmenter, Detector, Path], Scenario]
SCENARIOS: dict[str, Make] = {"crossing": crossing, "late_detection": late_detection, "scene_cut": scene_cut}


def prepare(name: str, segmenter: Sam2Segmenter, detector: Detector, folder: Path, cached: tuple[str, ...] = NETWORK) -> Scenario:
    """Return a scenario with caches that are filled. Functions with a cache call nothing inside, so nothing fails there."""
    small = at_size(segmenter, 128)  # four ninths of the tokens, for speed
    return SCENARIOS[name](FailingSegmenter(small, cached), CachedDetector(detector), folder / "session")


@pytest.fixture(scope="module")
def scenario_of(segmenter: Sam2Segmenter, detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scenario]:
    """Return a function that prepares each scenario once."""
    return cache(lambda name: prepare(name, segmenter, detector, tmp_path_factory.mktemp(name)))


def calls(scenario: Scenario) -> list[CodeType]:
    """Return the code of each call of this package in the step of the first frame, in order."""
    found: list[CodeType] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "lang2segtrack_ros" in frame.f_code.co_filename:
            found.append(frame.f_code)

    session = scenario.restore()
    sys.setprofile(record)
    try:
        session.step(scenario.frames[0], update_appearance=True)
    finally:
        sys.setprofile(None)
    return found


def fail_at(session: Session, frame: Frame, number: int) -> bool:
    """Raise in one call of a step. Return False if the step finishes nevertheless, because the result was already written."""
    count = 0

    def inject(stack: FrameType, event: str, _: object) -> None:
        nonlocal count
        if event == "call" and "lang2segtrack_ros" in stack.f_code.co_filename:
            count += 1
            if count == number + 1:
                raise InjectedError(stack.f_code.co_name)

    sys.setprofile(inject)
    try:
        session.step(frame, update_appearance=True)
    except InjectedError:
        return True
    finally:
        sys.setprofile(None)
    return False


def check(scenario: Scenario, numbers: list[int], codes: list[CodeType]) -> int:
    """Fail at each call and compare what follows; return the number of failed frames.

    A failure of the detector inside a frame is no failure of the frame, so these calls are skipped. The last session never fails: it
    notices a trace outside the sessions, such as in a network.
    """
    failed = 0
    compared: set[tuple[int, bytes]] = set()
    for number in numbers:
        session = scenario.restore()
        has_failed = fail_at(session, scenario.frames[0], number)
        failed += has_failed
        done = 0 if has_failed else 1  # a frame whose result was written counts, and the stream continues
        state = done, scenario.state(session)
        if state in compared:
            continue
        compared.add(state)
        for index, (found, expected) in enumerate(zip(outcome(session, scenario.frames[done:]), scenario.expected[done:])):
            assert found == expected, f"call {number} ({codes[number].co_qualname}) left a trace on frame {index} after the failure"
    assert outcome(scenario.restore(), scenario.frames) == scenario.expected, "a failure left a trace outside the session"
    print(f"{len(compared)} states after {len(numbers)} calls")
    return failed


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failure_in_any_function_leaves_no_trace(name: str, scenario_of: Callable[[str], Scenario]) -> None:
    """The first call of every function of the core fails once; in a crossing the second call, too."""
    scenario = scenario_of(name)
    codes = calls(scenario)
    numbers: dict[CodeType, list[int]] = {}
    for number, code in enumerate(codes):
        if any(f"lang2segtrack_ros/{room}" in code.co_filename for room in CORE):
            numbers.setdefault(code, []).append(number)
    chosen = sorted(number for found in numbers.values() for number in found[: 2 if name == "crossing" else 1])
    failed = check(scenario, chosen, codes)
    print(f"{name}: {len(numbers)} functions, {len(chosen)} calls, {failed} failed frames")
    assert failed > 100


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_failure_of_the_network_leaves_no_trace(name: str, scenario_of: Callable[[str], Scenario]) -> None:
    """The first and the second call of each of the five functions of the network fail once."""
    scenario = scenario_of(name)
    cached, failed = scenario.networks["segmenter"], 0
    for function in NETWORK:
        for call in range(2):
            session = scenario.restore()
            cached.failing, cached.calls_until_failure = function, call
            with suppress(InjectedError):
                session.step(scenario.frames[0])
            if not cached.failing:  # else the step has no second call of this function
                failed += 1
                assert outcome(session, scenario.frames) == scenario.expected, f"call {call + 1} of {function} left a trace"
            cached.failing = ""
    print(f"{name}: {failed} failed calls of the network")
    assert failed >= len(NETWORK)


def test_a_trace_is_noticed(scenario_of: Callable[[str], Scenario]) -> None:
    """The check must see memories that are written before a failure."""
    scenario = scenario_of("crossing")
    session = scenario.restore()
    session.tracker.bank.features[0, 0] += 1.0
    assert outcome(session, scenario.frames) != scenario.expected


if __name__ == "__main__":
    from lang2segtrack_ros.models.loading import load_detector, load_segmenter

    chosen_calls = random.Random(0)
    networks = (
        load_segmenter("toy", DEVICE, dtype="float32", acceleration="off"),
        load_detector("toy", DEVICE, dtype="float32", acceleration="off"),
    )
    for scenario_name in SCENARIOS:
        prepared = prepare(scenario_name, *networks, Path(tempfile.mkdtemp()), cached=("encode",))
        all_codes = calls(prepared)
        sample = sorted(chosen_calls.sample(range(len(all_codes)), min(int(sys.argv[1]), len(all_codes))))
        count = check(prepared, sample, all_codes)
        print(f"{scenario_name}: {len(all_codes)} calls, {len(sample)} tried, {count} failed frames, no trace", flush=True)
