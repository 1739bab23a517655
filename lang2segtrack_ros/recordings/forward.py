# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The forward pass over a recording, with prompts at given images."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from lang2segtrack_ros.recordings.instructions import InstructionQueue
from lang2segtrack_ros.recordings.runs import OfflineError
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import ExemplarPrompt, Prompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import FrameResult, TrackStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scheduled:
    """A prompt for one image of a recording.

    Attributes:
        at: number of the image, from 0. An instruction waits from there on for the first image that answers it.
        prompt: the prompt.
    """

    at: int
    prompt: Prompt | InstructionPrompt


class PromptSchedule:
    """A queue that gives prompts to a session at their images and checks their outcome.

    Args:
        prompts: the prompts, in any order.

    Attributes:
        instructions: the instructions among them.
    """

    def __init__(self, prompts: Iterable[Scheduled]) -> None:
        prompts = sorted(prompts, key=lambda item: item.at)
        self._waiting = [(item.at, item.prompt) for item in prompts if not isinstance(item.prompt, InstructionPrompt)]
        self.instructions = InstructionQueue((item.at, item.prompt) for item in prompts if isinstance(item.prompt, InstructionPrompt))
        self._handles: list[tuple[int, PromptHandle]] = []

    def before(self, session: Session, number: int, frame: Frame) -> None:
        """Give the session the prompts of the image that it processes next.

        Args:
            session: the session.
            number: number of that image.
            frame: that image.

        Raises:
            OfflineError: the detector cannot search for the objects of an instruction.
        """
        prompts: list[Prompt] = []
        while self._waiting and self._waiting[0][0] <= number:
            prompts.append(self._waiting.pop(0)[1])
        try:
            prompts += self.instructions.prompts(session, frame, number)
        except PromptError as error:
            raise OfflineError(f"the instruction is refused: {error}") from error
        self._handles += [(number, session.prompt(prompt, log_outcome=False)) for prompt in prompts]

    def after(self) -> None:
        """Check the outcome of the prompts and log their notes. Raises OfflineError if the session refused a prompt."""
        for number, handle in self._handles:
            if handle.error:
                raise OfflineError(f"the session refused the prompt for image {number}: {handle.error}")
            for note in handle.notes if handle.done else ():
                log.warning(note)
        self._handles = [item for item in self._handles if not item[1].done]

    def check(self, images: int | None) -> None:
        """Raise OfflineError if a prompt is for an image that the recording does not have.

        Args:
            images: number of images in the recording. None if it is unknown.
        """
        if images is not None and self._waiting and self._waiting[-1][0] >= images:
            raise OfflineError(f"there is a prompt for image {self._waiting[-1][0]}, but the source has {images} images, numbered from 0")

    @property
    def unused(self) -> tuple[int, ...]:
        """Return the image numbers of the prompts that still wait for their image."""
        return tuple(at for at, _ in self._waiting)


class Watcher(Protocol):
    """An observer of the forward pass, which may also pause it, prompt and end it."""

    def before(self, session: Session, frame: Frame) -> bool:
        """Handle an image before the session processes it. May wait, and may prompt; return False to end the pass here."""

    def after(self, frame: Frame, result: FrameResult) -> None:
        """Handle an image and its result."""


@dataclass
class ForwardState:
    """State of a forward pass, for checkpoints.

    Attributes:
        schedule: the prompts.
        images: number of images done.
        object_seen: True if an announced object was visible on at least one image.
        unconfirmed: image with the first detection of each object that waits for its confirmation, by its label.
        stopped: True if the watcher ended the pass before the end of the recording.
    """

    schedule: PromptSchedule
    images: int = 0
    object_seen: bool = False
    unconfirmed: dict[str, int] = field(default_factory=dict)
    stopped: bool = False

    def check_outcome(self, prompts: Sequence[Scheduled]) -> None:
        """Check a finished pass. Prompts for images that the recording does not have are logged, because the rest of the work stays valid.

        Args:
            prompts: all prompts of the pass.

        Raises:
            OfflineError: no object was ever visible.
        """
        unused = "" if self.stopped else ", ".join(map(str, self.schedule.unused))
        if not self.object_seen:
            reason = f"the prompts for images {unused} were not used, because the source ends after {self.images} images" if unused else ""
            raise OfflineError(reason or _nothing_found(prompts, self))
        if unused:
            log.warning("the prompts for images %s were not used, because the source ends after %d images", unused, self.images)
        for sentence in self.schedule.instructions.unanswered:
            log.warning(sentence)
        for label, image in self.unconfirmed.items():
            log.warning('"%s" was detected on image %d for the first time, but the source ended before it was confirmed', label, image)


class ForwardStep(NamedTuple):
    """One image of a forward pass.

    Attributes:
        frame: the image.
        result: its result.
        fps: inverse of the time that the session took for the image, frames per second.
    """

    frame: Frame
    result: FrameResult
    fps: float


def track_forward(session: Session, frames: Iterable[Frame], state: ForwardState, watcher: Watcher | None = None) -> Iterator[ForwardStep]:
    """Track forward through images and yield each image with its result.

    Args:
        session: the session.
        frames: the images that are not done yet, in order.
        state: state of the pass; updated before each yield, so it counts the image that is yielded.
        watcher: an observer that may prompt and end the pass; None for none.

    Raises:
        OfflineError: the session refused a prompt.
    """
    for frame in frames:
        state.schedule.before(session, state.images, frame)
        if watcher is not None and not watcher.before(session, frame):
            state.stopped = True
            return
        began = time.perf_counter()
        result = session.step(frame)
        fps = 1.0 / max(time.perf_counter() - began, 1e-9)
        state.schedule.after()
        if watcher is not None:
            watcher.after(frame, result)
        visible = [track for track in result.tracks if track.box is not None]
        waiting = {track.label for track in visible if track.state is TrackStatus.TENTATIVE}
        state.unconfirmed = {label: state.unconfirmed.get(label, state.images) for label in waiting}
        state.object_seen = state.object_seen or any(track.box is not None for track in result.announced)
        state.images += 1
        yield ForwardStep(frame, result, fps)


def _nothing_found(prompts: Sequence[Scheduled], state: ForwardState) -> str:
    """Return the sentence for a run in which no object was announced."""
    images = state.images
    if state.schedule.instructions.unanswered:
        return "; ".join(state.schedule.instructions.unanswered)
    if state.unconfirmed:
        seen = ", ".join(f'"{label}" (from image {image} on)' for label, image in state.unconfirmed.items())
        return f"{seen} was detected, but not often enough to be confirmed on {images} images: give more images, or a box"
    phrases = ", ".join(
        f'"{phrase}"' for item in prompts if isinstance(item.prompt, (TextPrompt, ExemplarPrompt)) for phrase in item.prompt.phrases
    )
    finding = f"{phrases} was found on none of the {images} images" if phrases else f"no object was visible on any of the {images} images"
    return f"{finding}: try other words, a lower threshold, or a box"
