# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompts of a session that wait for their outcome, as an immutable value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from lang2segtrack_ros.types.instruction import AnyPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, ExemplarPrompt, MaskPrompt, PointPrompt

MAX_ATTEMPTS = 3
"""Maximum number of attempts for a prompt whose frames or detections fail for another reason than the prompt."""
Condition = Callable[["PromptEntry"], bool]


@dataclass(frozen=True)
class PromptEntry:
    """One prompt and its status.

    Attributes:
        handle: the prompt.
        status: the status.
        failures: number of failed attempts whose cause was not the prompt itself.
        outcome: the outcome, with the status APPLIED or FAILED.
        exemplar: an exemplar prompt with the image of its first frame. None for other prompts.
    """

    handle: PromptHandle
    status: PromptStatus = PromptStatus.QUEUED
    failures: int = 0
    outcome: PromptOutcome | None = None
    exemplar: ExemplarPrompt | None = None

    @property
    def prompt(self) -> AnyPrompt:
        """Return the prompt. An exemplar prompt has its image, if a frame has given it one."""
        return self.exemplar or self.handle.prompt

    @property
    def is_direct(self) -> bool:
        """Return True for a box, point or mask prompt, which needs no detection."""
        return isinstance(self.handle.prompt, (BoxPrompt, PointPrompt, MaskPrompt))

    def applied(self, outcome: PromptOutcome) -> PromptEntry:
        """Return the entry with an outcome. The outcome keeps the notes of the handle."""
        status = PromptStatus.FAILED if outcome.error else PromptStatus.APPLIED
        return replace(self, status=status, outcome=replace(outcome, notes=(*self.handle.notes, *outcome.notes)))

    def failed_attempt(self, error: Exception, operation: str) -> PromptEntry:
        """Return the entry after a failed attempt: queued again, or failed after `MAX_ATTEMPTS`.

        Args:
            error: the exception of this attempt.
            operation: name of the failed operation for the message, such as "the detector".
        """
        entry = replace(self, status=PromptStatus.QUEUED, failures=self.failures + 1)
        if entry.failures < MAX_ATTEMPTS:
            return entry
        continues = "; detection continues" if self.handle.prompt_id else ""
        reason = f"{operation} failed {MAX_ATTEMPTS} times, the last time with {type(error).__name__}: {error}{continues}"
        return entry.applied(PromptOutcome(error=reason))


@dataclass(frozen=True)
class PromptQueue:
    """All prompts without a resolved future, in the order in which they came."""

    entries: tuple[PromptEntry, ...] = ()

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[PromptEntry]:
        return iter(self.entries)

    def with_status(self, status: PromptStatus) -> tuple[PromptEntry, ...]:
        """Return the entries with a status."""
        return tuple(entry for entry in self.entries if entry.status is status)

    def added(self, handle: PromptHandle) -> PromptQueue:
        """Return the queue with one more prompt."""
        return PromptQueue((*self.entries, PromptEntry(handle)))

    def mapped(self, condition: Condition, change: Callable[[PromptEntry], PromptEntry]) -> PromptQueue:
        """Return the queue with changed entries where a condition holds."""
        return PromptQueue(tuple(change(entry) if condition(entry) else entry for entry in self.entries))

    def marked(self, handles: Collection[PromptHandle], status: PromptStatus) -> PromptQueue:
        """Return the queue in which some prompts have another status."""
        return self.mapped(lambda entry: entry.handle in handles, lambda entry: replace(entry, status=status))

    def requeued(self, status: PromptStatus) -> PromptQueue:
        """Return the queue in which all prompts with a status wait again."""
        return self.mapped(lambda entry: entry.status is status, lambda entry: replace(entry, status=PromptStatus.QUEUED))

    def applied(self, outcomes: dict[PromptHandle, PromptOutcome]) -> PromptQueue:
        """Return the queue with the outcomes of some prompts."""
        return self.mapped(lambda entry: entry.handle in outcomes, lambda entry: entry.applied(outcomes[entry.handle]))

    def refused(self, reason: str, condition: Condition = lambda _: True) -> PromptQueue:
        """Return the queue in which the prompts under a condition have failed for a reason."""
        return self.mapped(condition, lambda entry: entry.applied(PromptOutcome(error=reason)))

    @property
    def finished(self) -> dict[PromptHandle, PromptOutcome]:
        """Return the prompts whose futures are not resolved yet, with their outcomes."""
        return {entry.handle: entry.outcome for entry in self.entries if entry.outcome is not None}

    def without(self, handles: Collection[PromptHandle]) -> PromptQueue:
        """Return the queue without some prompts."""
        return PromptQueue(tuple(entry for entry in self.entries if entry.handle not in handles))
