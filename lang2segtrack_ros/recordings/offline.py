# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A whole source of images, forwards and, where it is asked for, backwards; memory does not depend on its length."""

from __future__ import annotations

import logging
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lang2segtrack_ros.history.frame_history import FrameHistory, Past, StoredPast
from lang2segtrack_ros.history.records import RecordFile, frame_record
from lang2segtrack_ros.io.sources import ImageSource
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import Prompt, TextPrompt
from lang2segtrack_ros.types.results import FrameResult

log = logging.getLogger(__name__)
Report = Callable[[str, int, "int | None"], None]
"""Called with the name of a stage, images done, and images in all where they are known."""


class OfflineError(RuntimeError):
    """A run that leads to nothing; the message says why."""


@dataclass(frozen=True)
class Scheduled:
    """A prompt and the number of the image it is for."""

    at: int
    prompt: Prompt


class Script:
    """Gives prompts to a session at their frames and watches what becomes of them."""

    def __init__(self, prompts: Iterable[Scheduled]) -> None:
        self._waiting = sorted(prompts, key=lambda item: item.at)
        self._handles: list[tuple[int, PromptHandle]] = []

    def before(self, session: Session, number: int) -> None:
        """Hands over the prompts of an image that is about to be worked on."""
        while self._waiting and self._waiting[0].at <= number:
            self._handles.append((number, session.prompt(self._waiting.pop(0).prompt)))

    def after(self) -> None:
        """Looks at what became of them, and logs what a user should know. Raises OfflineError for a prompt that was refused."""
        for number, handle in self._handles:
            if handle.error:
                raise OfflineError(f"the prompt for image {number} cannot be followed: {handle.error}")
            for note in handle.notes if handle.done else ():
                log.warning(note)
        self._handles = [item for item in self._handles if not item[1].done]

    def finish(self, images: int) -> None:
        """Raises OfflineError for prompts whose image never came."""
        if self._waiting:
            raise OfflineError(f"there is a prompt for image {self._waiting[0].at}, but the source ends after {images} images")


def nothing_found(prompts: Sequence[Prompt], images: int) -> OfflineError:
    """The error for a run in which no object was ever seen."""
    phrases = ", ".join(f'"{phrase}"' for prompt in prompts if isinstance(prompt, TextPrompt) for phrase in prompt.phrases)
    what = f"{phrases} was found on none of the {images} images" if phrases else f"no object was seen on any of the {images} images"
    return OfflineError(f"{what}: try other words, a lower threshold, or a box")


class Watcher(Protocol):
    """Somebody who looks on."""

    def before(self, session: Session, frame: Frame) -> bool:
        """An image is about to be worked on: may wait, and prompt; False ends the source here."""

    def after(self, frame: Frame, result: FrameResult) -> None:
        """An image has been worked on."""


def track_source(
    session: Session,
    source: ImageSource,
    prompts: Sequence[Scheduled],
    folder: Path,
    backward: bool,
    report: Report,
    watcher: Watcher | None = None,
) -> TraceFiles:
    """Tracks through a source and writes all files of `trace_files` into a folder.

    Args:
        session: fresh; with `backward` over a source that is not stored, it needs a history.
        source: the images.
        prompts: what to follow.
        folder: for the files; a folder `.work` in it is used and removed.
        backward: also sweep backwards, and write the merged traces.
        report: hears how far it is.
        watcher: looks on, and may prompt and end it.

    Raises:
        OfflineError: a prompt is refused or comes too late, or nothing is ever seen.
        SourceError: the source cannot be read.
        OSError: the files cannot be written.
    """
    script = Script(prompts)
    work = folder / ".work"
    records = RecordFile(work / "forward.jsonl") if backward else None
    speeds = array("f")
    files = TraceFiles(folder, source.fps)
    count = 0
    seen = ended = False
    try:
        for frame in source.frames():
            script.before(session, count)
            if watcher is not None and not watcher.before(session, frame):
                ended = True
                break
            began = time.perf_counter()
            result = session.step(frame)
            speeds.append(1.0 / max(time.perf_counter() - began, 1e-9))
            script.after()
            if watcher is not None:
                watcher.after(frame, result)
            seen = seen or any(track.box is not None for track in result.announced)
            if records is not None:
                records.append(frame_record(result))
            else:
                files.write(frame, result, f"{speeds[count]:.1f} FPS")
            count += 1
            report("forward", count, source.length)
        if not ended:
            script.finish(count)
        if not seen:
            raise nothing_found([item.prompt for item in prompts], count)
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
        raise ValueError("going back over a source that is not stored needs a session with a history")
    return session.history


def _write_merged(
    session: Session, past: Past, source: ImageSource, store: RecordFile, files: TraceFiles, speeds: Sequence[float], report: Report
) -> None:
    sweep = session.backward(past=past, store=store)
    for at in sweep.sweep():
        report("backward", at.done, at.total)
    images = source.frames() if source.stored else (past.frame(number) for number in sweep.numbers)
    for frame, result in zip(images, sweep.results()):
        files.write(frame, result, f"{speeds[result.index]:.1f} FPS")
        report("writing", result.index + 1, len(speeds))
    store.close()
