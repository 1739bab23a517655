# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking through a whole source of images, forward and optionally backward. Memory use does not depend on the length of the source."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from lang2segtrack_ros.io.sources import ImageSource
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.recordings.forward import ForwardState, PromptSchedule, Scheduled, Watcher, track_forward
from lang2segtrack_ros.recordings.resumable import ResumableRun
from lang2segtrack_ros.recordings.runs import Report
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult


class SourceImages:
    """The images of a stored source, for a resumable run.

    Args:
        source: the source.
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    @property
    def index(self) -> Any:
        """Return what the source has learned of its images."""
        return self.source.index

    @index.setter
    def index(self, index: Any) -> None:
        self.source.index = index

    @property
    def expected(self) -> int | None:
        """Return the number of images of a run; None if it is unknown."""
        return self.source.expected

    def frames(self) -> Iterator[Frame]:
        """Yield the images that the index does not have yet."""
        return islice(self.source.frames(), len(self.source.index.images), self.source.limit)

    def read(self, number: int) -> Frame:
        """Return an image of the index. Raises SourceError."""
        return self.source.read(number)


def write_traces(run: ResumableRun, source: ImageSource, files: TraceFiles, report: Report) -> None:
    """Write the results of a run, which may be unfinished.

    Args:
        run: the run.
        source: its source.
        files: writer of the results; closed at the end.
        report: progress callback.

    Raises:
        SourceError: the source cannot be read again.
        OSError: the files cannot be written.
    """
    results = run.refined_results()
    _write(source.frames(), run.forward_results() if results is None else results, run.speeds, files, report)


def _write(frames: Iterable[Frame], results: Iterable[FrameResult], speeds: Sequence[float], files: TraceFiles, report: Report) -> None:
    with files:
        for result, frame in zip(results, frames):
            files.write(frame, result, f"{speeds[result.index]:.1f} FPS")
            report("writing", result.index + 1, len(speeds))


def track_camera(
    session: Session,
    source: ImageSource,
    prompts: Sequence[Scheduled],
    files: TraceFiles,
    backward: bool,
    report: Report,
    watcher: Watcher | None = None,
) -> Sequence[str]:
    """Track through a source that does not store its images, until it ends. Return the lines of the answers to instructions.

    Args:
        session: a new session. It needs a history if `backward` is True.
        source: the images.
        prompts: the objects to track.
        files: writer of the results; closed at the end.
        backward: also run the backward pass, and write the merged traces.
        report: progress callback.
        watcher: an observer that may prompt and end the run; None for none.

    Raises:
        OfflineError: the session refused a prompt, or no object was ever visible.
        RefinementError: the backward pass has nothing to refine.
        OSError: the files cannot be written.
    """
    session.prepare()
    state = ForwardState(PromptSchedule(prompts))
    speeds = array("f")
    steps = track_forward(session, islice(source.frames(), source.limit), state, watcher)
    with files:
        for step, filled in fill_back(steps, lambda step: step.result):
            speeds.append(step.fps)
            if not backward:
                files.write(step.frame, filled, f"{step.fps:.1f} FPS")
            report("forward", state.images, source.expected)
        state.check_outcome(prompts)
        if backward:
            sweep = session.backward(prepare=True)
            for progress in sweep.sweep():
                report("backward", progress.done, progress.total)
            _write((sweep.past.frame(number) for number in sweep.numbers), sweep.results(), speeds, files, report)
    return state.schedule.instructions.answers
