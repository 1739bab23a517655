# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Events: what an instruction changes while it is checked again and again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class EventKind(str, Enum):
    """The kind of an event."""

    CHOSEN = "chosen"
    """The instruction chooses further objects."""
    RELEASED = "released"
    """Objects no longer fit the instruction. Those that it started are removed."""
    MISSING = "missing"
    """The instruction has no object, or fewer than it asks for."""
    FAILED = "failed"
    """There was no answer to the instruction, such as several objects where one is meant, or a server that does not answer."""


@dataclass(frozen=True)
class InstructionEvent:
    """One event of an instruction.

    Attributes:
        kind: the kind.
        prompt_id: id of the instruction. 0 for an instruction that is answered once.
        instruction: its text.
        message: what happened and why, in sentences for the user.
        track_ids: the objects. Empty for MISSING and FAILED.
    """

    kind: EventKind
    prompt_id: int
    instruction: str
    message: str
    track_ids: tuple[int, ...] = ()
