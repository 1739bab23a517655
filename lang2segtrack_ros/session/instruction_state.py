# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The instructions of a session, the request in progress, and the events for the next result, as an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.detection.pending_detection import PendingInstruction
from lang2segtrack_ros.types.events import EventKind, InstructionEvent
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError

MAX_INSTRUCTIONS = 16
"""Maximum number of continuous instructions."""


@dataclass(frozen=True)
class InstructionOptions:
    """Options of continuous instructions."""

    verify_every_s: float = option(
        5.0,
        "Time in seconds from one check of a continuous instruction to the next.",
        0.1,
        3600.0,
        dynamic=True,
    )


@dataclass(frozen=True)
class ActiveInstruction:
    """A continuous instruction.

    Attributes:
        prompt: the instruction.
        chosen: ids of its tracks.
        started: those tracks that it started. They end when they no longer fit; other tracks stay.
        misfits: number of answers in a row that did not choose a track, by id.
        unchecked_ns: time since the latest request in nanoseconds.
        reported: kind of the latest reported problem, so that each is reported once. None without one.
    """

    prompt: InstructionPrompt
    chosen: frozenset[int] = frozenset()
    started: frozenset[int] = frozenset()
    misfits: Mapping[int, int] = field(default_factory=dict)
    unchecked_ns: int = 0
    reported: EventKind | None = None

    def interval_ns(self, verify_every_s: float) -> int:
        """Return the time between two checks in nanoseconds.

        Args:
            verify_every_s: time in seconds if the prompt gives none.
        """
        return int((self.prompt.verify_every_s or verify_every_s) * 1e9)


@dataclass(frozen=True)
class InstructionState:
    """All instructions of a session.

    Attributes:
        active: the continuous instructions by prompt id.
        pending: the request in progress. None without one.
        handle: the prompt that waits for its outcome. None if the request checks an instruction again.
        prompt_id: id of the instruction of the request. 0 for an instruction that is answered once.
        events: events since the latest result.
    """

    active: Mapping[int, ActiveInstruction] = field(default_factory=dict)
    pending: PendingInstruction | None = None
    handle: PromptHandle | None = None
    prompt_id: int = 0
    events: tuple[InstructionEvent, ...] = ()

    @property
    def is_idle(self) -> bool:
        """Return True if there is no instruction, no request in progress and no event that waits for a frame."""
        return not (self.active or self.pending or self.events)

    def added(self, prompt_id: int, prompt: InstructionPrompt) -> InstructionState:
        """Return the state with one more continuous instruction.

        Args:
            prompt_id: its id.
            prompt: the instruction.

        Raises:
            PromptError: there are `MAX_INSTRUCTIONS` instructions.
        """
        if len(self.active) >= MAX_INSTRUCTIONS:
            raise PromptError(f"{MAX_INSTRUCTIONS} continuous instructions are active, and no more are allowed: remove one")
        return self.updated(prompt_id, ActiveInstruction(prompt))

    def updated(self, prompt_id: int, instruction: ActiveInstruction) -> InstructionState:
        """Return the state with a changed continuous instruction."""
        return replace(self, active={**self.active, prompt_id: instruction})

    def removed(self, prompt_id: int) -> InstructionState:
        """Return the state without a continuous instruction. A request in progress for it has no effect any more."""
        active = {key: item for key, item in self.active.items() if key != prompt_id}
        state = replace(self, active=active)
        return state.without_request() if self.prompt_id == prompt_id else state

    def without_request(self) -> InstructionState:
        """Return the state without a request in progress."""
        return replace(self, pending=None, handle=None, prompt_id=0)

    def after_frame(self, elapsed_ns: int) -> InstructionState:
        """Return the state after one more frame.

        Args:
            elapsed_ns: time since the previous frame in nanoseconds.
        """
        if not self.active:
            return self
        return replace(self, active={key: replace(item, unchecked_ns=item.unchecked_ns + elapsed_ns) for key, item in self.active.items()})

    def due(self, verify_every_s: float) -> int | None:
        """Return the id of the instruction whose check is due, the longest overdue first. None if none is due.

        Args:
            verify_every_s: time between two checks in seconds, for instructions without an interval of their own.
        """
        overdue = {key: item.unchecked_ns - item.interval_ns(verify_every_s) for key, item in self.active.items()}
        latest = max(overdue, key=overdue.__getitem__, default=None)
        return latest if latest is not None and overdue[latest] >= 0 else None

    def reporting(self, prompt: InstructionPrompt, kind: EventKind, message: str) -> InstructionState:
        """Return the state with an event of the request in progress, unless its instruction has the same problem as before.

        Args:
            prompt: the instruction.
            kind: MISSING or FAILED.
            message: sentences for the user. Empty if the problem is over.
        """
        active, state = self.active.get(self.prompt_id), self
        if active is not None:
            state = self.updated(self.prompt_id, replace(active, reported=kind if message else None))
        if not message or (active is not None and active.reported is kind):
            return state
        return replace(state, events=(*state.events, InstructionEvent(kind, self.prompt_id, prompt.text, message)))

    def renamed(self, ids: Mapping[int, int]) -> InstructionState:
        """Return the state in which tracks that duplicate others are replaced by them.

        Args:
            ids: id of the remaining track by id of the duplicate.
        """
        if not ids or not self.active:
            return self
        active = {
            key: replace(item, chosen=frozenset(ids.get(each, each) for each in item.chosen), started=item.started - ids.keys())
            for key, item in self.active.items()
        }
        return replace(self, active=active)
