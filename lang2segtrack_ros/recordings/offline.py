# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Tracking through a whole source of images, forward and optionally backward. Memory use does not depend on the length of the source."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from lang2segtrack_ros.history.frame_history import FrameHistory, Past, StoredPast
from lang2segtrack_ros.history.records import RecordFile, frame_record
from lang2segtrack_ros.io.sources import ImageSource
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.recordings.fill_back import fill_back
from lang2segtrack_ros.recordings.forward import (
    ForwardState,
    PromptSchedule,
    Report,
    Scheduled,
    Watcher,
    track_forward,
)
from lang2segtrack_ros.session.session import Session


def track_source(
    session: Session,
    source: ImageSource,
    prompts: Sequence[Scheduled],
    folder: Path,
    backward: bool,
    report: Report,
    watcher: Watcher | None = None,
) -> TraceFiles:
    """Track through a source and write all files of `trace_files` into a folder.

    Args:
        session: a new session. It needs a history if `backward` is True and the source is not stored.
        source: the images.
        prompts: the objects to track.
        folder: folder of the output; the run creates a subfolder `.work` in it and removes it at the end.
        backward: also run the backward pass, and write the merged traces.
        report: progress callback.
        watcher: an observer that may prompt and end the run; None for none.

    Raises:
        OfflineError: the session refused a prompt, a prompt is for an image that does not exist, or no object was ever visible.
        SourceError: the source cannot be read.
        OSError: the files cannot be written.
    """
    state = ForwardState(PromptSchedule(prompts))
    if source.length is not None and watcher is None:
        state.schedule.check(source.expected)
    work = folder / ".work"
    records = RecordFile(work / "forward.jsonl") if backward else None
    speeds = array("f")
    steps = track_forward(session, islice(source.frames(), source.limit), state, watcher)
    files = TraceFiles(folder, source.fps)
    try:
        for step, filled in fill_back(steps, lambda step: step.result):
            speeds.append(step.fps)
            if records is not None:
                records.append(frame_record(step.result))
            else:
                files.write(step.frame, filled, f"{step.fps:.1f} FPS")
            report("forward", state.images, source.expected)
        state.check_outcome(prompts)
        if records is not None:
            past: Past = StoredPast(records, source.read) if source.stored else _history_of(session)
            _write_merged(session, past, source, RecordFile(work / "backward.jsonl"), files, speeds, report)
    finally:
        files.close()
        if records is not None:
            records.close()
    shutil.rmtree(work, ignore_errors=True)
    return files


def _history_of(session: Session) -> FrameHistory:
    if session.history is None:
        raise ValueError("the source does not store its images, so the backward pass needs a session with a history")
    return session.history


def _write_merged(
    session: Session, past: Past, source: ImageSource, store: RecordFile, files: TraceFiles, speeds: Sequence[float], report: Report
) -> None:
    sweep = session.backward(past=past, store=store)
    for progress in sweep.sweep():
        report("backward", progress.done, progress.total)
    images = source.frames() if source.stored else (past.frame(number) for number in sweep.numbers)
    for frame, result in zip(images, sweep.results()):
        files.write(frame, result, f"{speeds[result.index]:.1f} FPS")
        report("writing", result.index + 1, len(speeds))
    store.close()
