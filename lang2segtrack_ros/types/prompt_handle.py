# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of a prompt that was given to a session."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lang2segtrack_ros.types.instruction import AnyPrompt


class PromptStatus(Enum):
    """The status of a prompt."""

    QUEUED = "queued"
    """It waits for a frame, for the detector or for the resolver of instructions."""
    DETECTING = "detecting"
    """The detector looks for its objects."""
    RESOLVING = "resolving"
    """The resolver of instructions chooses its objects."""
    APPLIED = "applied"
    """It has an outcome on a frame that is not written yet."""
    DONE = "done"
    """Its frame is written, and its future is resolved."""
    FAILED = "failed"
    """The session refused it, and its future is resolved."""


@dataclass(frozen=True)
class PromptOutcome:
    """The outcome of one prompt.

    Attributes:
        track_ids: ids of the objects that the prompt started, found or corrected.
        labels: one label for each of `track_ids`.
        error: reason of the refusal. Empty if the prompt was applied.
        notes: sentences for the user, such as words that the detector does not know.
        scores: predicted IoU of the mask of each of `track_ids`, 0..1. Empty for a text prompt.
        plan: what the resolver of an instruction looked for, a line for each target. Empty for other prompts.
        reasons: a sentence for each of `track_ids`, why the instruction chose it. Empty for other prompts.
        missing: a sentence for each target of an instruction that was not found, or not as often as asked for.
    """

    track_ids: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    plan: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class PromptHandle:
    """A prompt that was given to a session, and the future of its outcome.

    Args:
        prompt: the prompt.
        prompt_id: id of a continuous prompt, > 0. `replace_prompt_id` and `remove_text` take this id. 0 for other prompts.
        notes: sentences for the user that are known before the outcome.

    Attributes:
        future: resolves to the outcome when a frame applies the prompt, or when the session refuses it. It never fails.
        status: the status after the latest frame.
    """

    def __init__(self, prompt: AnyPrompt, prompt_id: int = 0, notes: tuple[str, ...] = ()) -> None:
        self.prompt = prompt
        self.prompt_id = prompt_id
        self.future: Future[PromptOutcome] = Future()
        self.status = PromptStatus.QUEUED
        self._notes = notes

    @property
    def done(self) -> bool:
        """Return True after the session applied or refused the prompt."""
        return self.future.done()

    @property
    def outcome(self) -> PromptOutcome:
        """Return the outcome. Before the end of the prompt, it has only notes."""
        return self.future.result() if self.future.done() else PromptOutcome(notes=self._notes)

    @property
    def track_ids(self) -> list[int]:
        """Return the ids of the objects that the prompt started, found or corrected."""
        return list(self.outcome.track_ids)

    @property
    def labels(self) -> list[str]:
        """Return one label for each of `track_ids`."""
        return list(self.outcome.labels)

    @property
    def error(self) -> str:
        """Return the reason of the refusal. Empty if the prompt was applied or still waits."""
        return self.outcome.error

    @property
    def notes(self) -> list[str]:
        """Return sentences for the user, such as words that the detector does not know."""
        return list(self.outcome.notes)

    def resolve(self, outcome: PromptOutcome) -> None:
        """Store the outcome, and run the callbacks of the future on this thread. Later outcomes are ignored."""
        if not self.future.done():
            self.status = PromptStatus.FAILED if outcome.error else PromptStatus.DONE
            self.future.set_result(outcome)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for checkpoints. A future cannot be pickled, but its result can."""
        return {**vars(self), "future": self.outcome if self.done else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint, with a new future."""
        vars(self).update(state, future=Future())
        if state["future"] is not None:
            self.future.set_result(state["future"])
