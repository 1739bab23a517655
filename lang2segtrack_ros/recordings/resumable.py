# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward and the backward pass over a recording, with checkpoints, so that an interrupted run goes on where it ended.

A run keeps its records and its checkpoints in a working folder beside the output. A killed run resumes from its latest checkpoint, and its
results equal those of an uninterrupted run. The backward pass reads images from the recording again, so memory use does not depend on the
length of the recording.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lang2segtrack_ros import __version__
from lang2segtrack_ros.history.backward_pass import BackwardPass, RefinementError
from lang2segtrack_ros.history.frame_history import StoredPast
from lang2segtrack_ros.history.records import RecordFile, frame_record, read_frame
from lang2segtrack_ros.io.sources import SourceError
from lang2segtrack_ros.recordings import checkpoint
from lang2segtrack_ros.recordings.bag_types import BagError
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.recordings.forward import ForwardState, PromptSchedule, Scheduled, Watcher, track_forward
from lang2segtrack_ros.recordings.runs import CHECKPOINT, InterruptedRunError, OfflineError, Report, digest
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import ExemplarPrompt, MaskPrompt, Prompt
from lang2segtrack_ros.types.results import FrameResult


class Images(Protocol):
    """The images of a recording, numbered from 0.

    Attributes:
        index: all that `frames` has learned of the recording; a part of the checkpoints.
    """

    index: Any

    @property
    def expected(self) -> int | None:
        """Return the number of images of a run; None if it is unknown."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Yield the images that the index does not have yet."""
        ...

    def read(self, number: int) -> Frame:
        """Return an image of the index. Calls with falling numbers are fast."""
        ...


@dataclass(frozen=True)
class RunOptions:
    """Options of a run.

    Attributes:
        prompts: the objects to track, by image number.
        backward: also run the backward pass.
        checkpoint_s: time between two checkpoints, seconds.
        identity: text of everything else the results depend on, such as the names of the networks. A run resumes an earlier run only if
            both have the same text.
    """

    prompts: Sequence[Scheduled] = ()
    backward: bool = True
    checkpoint_s: float = 30.0
    identity: str = ""


@dataclass
class _State:
    """State of a run in a checkpoint. Loading truncates the files of records to the length they had."""

    key: str
    session: Session
    forward_state: ForwardState
    index: Any
    records: RecordFile
    speeds: array[float] = field(default_factory=lambda: array("f"))
    forward_done: bool = False
    backward_records: RecordFile | None = None
    sweep: BackwardPass | None = None
    backward_done: bool = False


def run_key(source: Path, options: RunOptions, *more: object) -> str:
    """Return a short text that differs for runs with different results of the forward pass.

    Args:
        source: file or folder of the recording.
        options: the options.
        *more: everything else that the results depend on.
    """
    files = [source] if source.is_file() else sorted(item for item in source.iterdir() if item.is_file())
    stats = [(item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in files]
    prompts = [(item.at, full_repr(item.prompt)) for item in options.prompts]
    return digest(__version__, stats, prompts, options.identity, *more)


def full_repr(prompt: Prompt | InstructionPrompt) -> str:
    """Return a text of the whole prompt, with a hash of its mask or image, because the text of a large array is abbreviated."""
    array = prompt.mask if isinstance(prompt, MaskPrompt) else prompt.image if isinstance(prompt, ExemplarPrompt) else None
    return f"{prompt!r} {hashlib.sha256(array.tobytes()).hexdigest() if array is not None else ''}"


class ResumableRun:
    """The two passes over a recording.

    Args:
        work: the working folder, which the caller locks.
        images: the images.
        make_session: returns a new session.
        options: the options.
        key: see `run_key`.
        report: progress callback.
        stop: returns True to interrupt the run after the current image.

    Attributes:
        resumed_at: number of images that an earlier run had done.
    """

    def __init__(
        self,
        work: Path,
        images: Images,
        make_session: Callable[[], Session],
        options: RunOptions,
        key: str,
        report: Report,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = work / CHECKPOINT
        self._work = work
        self._images = images
        self._options = options
        self._report = report
        self._stop = stop
        self._state = self._load_or_start(make_session(), key)
        self._state.session.prepare()
        self.resumed_at = len(self._state.records)
        self._saved = time.monotonic()

    @property
    def count(self) -> int:
        """Return the number of images done by the forward pass."""
        return len(self._state.records)

    @property
    def speeds(self) -> Sequence[float]:
        """Return the rate of the forward pass on each image, images per second."""
        return self._state.speeds

    @property
    def answers(self) -> Sequence[str]:
        """Return the lines of the answers to instructions."""
        return self._state.forward_state.schedule.instructions.answers

    def run(self, watcher: Watcher | None = None) -> None:
        """Run the passes that are not done yet.

        Args:
            watcher: an observer that may prompt and end the forward pass; None for none.

        Raises:
            InterruptedRunError: `stop` returned True.
            BagError, SourceError: no image can be read.
            OfflineError: a prompt is refused, or no object is ever visible.
            RefinementError: the backward pass has nothing to refine.
        """
        try:
            if not self._state.forward_done:
                self._forward(watcher)
            if self._options.backward:
                self._backward()
        except (BagError, OfflineError, RefinementError, SourceError):
            if not self._state.forward_done:  # a finished forward pass can be hours of work, so another run may use it
                self._path.unlink(missing_ok=True)
            raise

    def forward_results(self) -> Iterator[FrameResult]:
        """Yield the result of the forward pass on each image. Confirmed objects appear from their first detection on."""
        records = self._state.records
        for _, result in fill_back((read_frame(records[number]) for number in records), lambda result: result):
            yield result

    def refined_results(self) -> Iterator[FrameResult] | None:
        """Return the merged results of both passes. None without a finished backward pass."""
        state = self._state
        return state.sweep.results() if self._options.backward and state.sweep is not None and state.backward_done else None

    def close(self) -> None:
        """Close the files of records."""
        for records in (self._state.records, self._state.backward_records):
            if records is not None:
                records.close()

    def _external(self, session: Session) -> dict[str, object]:
        """Return the objects that a checkpoint refers to by name."""
        networks = {"segmenter": session.tracker.segmenter, "detector": session.detector, "resolver": session.instructions.resolver}
        return {**networks, "images": self._images}

    def _load_or_start(self, session: Session, key: str) -> _State:
        """Return the state of an earlier run with the same key, or a new state."""
        try:
            state: _State = checkpoint.load(self._path, self._external(session))
            if state.key == key:
                self._images.index = state.index
                return state
        except Exception:  # unpickling a damaged file raises any type
            pass  # there is no whole checkpoint, or it is from another version or device: the run starts again
        forward_state = ForwardState(PromptSchedule(self._options.prompts))
        return _State(key, session, forward_state, self._images.index, RecordFile(self._work / "forward.jsonl"))

    def _save(self) -> None:
        checkpoint.save(self._path, self._state, self._external(self._state.session))
        self._saved = time.monotonic()

    def _after_image(self, stage: str, done: int, total: int | None) -> None:
        """Report the progress, write a checkpoint if one is due, and end the run if it is asked to stop."""
        self._report(stage, done, total)
        if self._stop():
            self._save()
            raise InterruptedRunError(f"interrupted in the {stage} pass at image {done}{f' of {total}' if total else ''}")
        if time.monotonic() - self._saved >= self._options.checkpoint_s:
            self._save()

    def _forward(self, watcher: Watcher | None) -> None:
        state, images = self._state, self._images
        if watcher is None:
            state.forward_state.schedule.check(images.expected)
        for step in track_forward(state.session, images.frames(), state.forward_state, watcher):
            state.records.append(frame_record(step.result))
            state.speeds.append(step.fps)
            self._after_image("forward", len(state.records), images.expected)
        state.forward_state.check_outcome(self._options.prompts)
        state.forward_done = True
        self._save()

    def _backward(self) -> None:
        state = self._state
        if state.sweep is None:
            state.backward_records = RecordFile(self._work / "backward.jsonl")
            state.sweep = state.session.backward(
                past=StoredPast(state.records, self._images.read), store=state.backward_records, prepare=True
            )
        for progress in state.sweep.sweep():
            self._after_image("backward", progress.done, progress.total)
        state.backward_done = True
        self._save()
