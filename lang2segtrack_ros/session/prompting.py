# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Acceptance and refusal of prompts between two frames."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from lang2segtrack_ros.detection.detector import Detector, ExemplarMatcher, vocabulary_notes
from lang2segtrack_ros.detection.instruction_resolver import InstructionResolver
from lang2segtrack_ros.session.arguments import checked_id
from lang2segtrack_ros.session.matching import no_matcher_message
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.checks import describe
from lang2segtrack_ros.types.instruction import AnyPrompt, InstructionPrompt
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import (
    BoxPrompt,
    DetectionPrompt,
    ExemplarPrompt,
    MaskPrompt,
    PointPrompt,
    PromptError,
    TextPrompt,
)

MAX_WAITING = 256
"""Maximum number of prompts that wait for a frame or for the detector."""


class Networks(NamedTuple):
    """What finds the objects of prompts.

    Attributes:
        detector: the detector. None refuses text prompts.
        matcher: the matcher. None refuses exemplar prompts.
        resolver: the resolver. None refuses instructions.
    """

    detector: Detector | None
    matcher: ExemplarMatcher | None
    resolver: InstructionResolver | None


def with_prompt(state: SessionState, prompt: AnyPrompt, replace_prompt_id: int, networks: Networks) -> tuple[SessionState, PromptHandle]:
    """Return the state with a queued prompt, and the handle of its outcome.

    Args:
        state: the state.
        prompt: the prompt.
        replace_prompt_id: id of a continuous text or exemplar prompt that this continuous one replaces. 0 replaces none.
        networks: what finds the objects of the prompts.

    Raises:
        PromptError: see `Session.prompt`.
    """
    if not isinstance(prompt, (TextPrompt, ExemplarPrompt, BoxPrompt, PointPrompt, MaskPrompt, InstructionPrompt)):
        raise PromptError(f'prompt is {describe(prompt)}: give a prompt, such as TextPrompt("red mug.") or BoxPrompt(box)')
    replace_prompt_id = checked_id("replace_prompt_id", replace_prompt_id, PromptError)
    if len(state.prompts) >= MAX_WAITING:
        raise PromptError(f"{MAX_WAITING} prompts already wait for an image: try again after the next images")
    detected = prompt if isinstance(prompt, (TextPrompt, ExemplarPrompt)) else None
    if replace_prompt_id and (detected is None or detected.mode != "continuous"):
        raise PromptError("only a continuous text prompt can replace another one: use mode continuous, or add the prompt as a new one")
    if isinstance(prompt, InstructionPrompt):
        state, handle = _with_instruction(state, prompt, networks.resolver)
    elif detected is None:
        handle = PromptHandle(prompt)
    else:
        handle = PromptHandle(prompt, notes=_notes(detected, networks.detector, networks.matcher))
        state = replace(state, schedule=state.schedule.naming(detected))
        if detected.mode == "continuous":
            schedule, handle.prompt_id = state.schedule.added(detected, replace_prompt_id)
            state = _refused(
                replace(state, schedule=schedule), handle.prompt_id, "another prompt replaced this one before its first detection"
            )
    return replace(state, prompts=state.prompts.added(handle)), handle


def _notes(prompt: DetectionPrompt, detector: Detector | None, matcher: ExemplarMatcher | None) -> tuple[str, ...]:
    """Return sentences for the user on a prompt. Raise PromptError if no network finds its objects."""
    if isinstance(prompt, TextPrompt):
        if detector is None:
            raise PromptError("there is no detector for text prompts: load a detector, or use box, point or mask prompts")
        return tuple(vocabulary_notes(detector, prompt.phrases))
    if matcher is None:
        raise PromptError(no_matcher_message(detector))
    return ()


def _with_instruction(
    state: SessionState, prompt: InstructionPrompt, resolver: InstructionResolver | None
) -> tuple[SessionState, PromptHandle]:
    """Return the state that knows a new instruction, and the handle of its outcome. Raise PromptError if no resolver answers it."""
    if resolver is None:
        raise PromptError("there is no resolver for instructions: create the session with one, such as resolver=GrammarResolver(detector)")
    handle = PromptHandle(prompt, notes=tuple(resolver.check(prompt)))
    if prompt.mode == "continuous":
        handle.prompt_id = state.schedule.next_id
        instructions = state.instructions.added(handle.prompt_id, prompt)
        state = replace(state, instructions=instructions, schedule=replace(state.schedule, next_id=handle.prompt_id + 1))
    return state, handle


def without_text(state: SessionState, prompt_id: int) -> SessionState:
    """Return the state without a continuous text or exemplar prompt, or without a continuous instruction.

    Args:
        state: the state.
        prompt_id: id of the prompt.

    Raises:
        PromptError: no prompt has this id.
    """
    if prompt_id in state.instructions.active:
        state = replace(state, instructions=state.instructions.removed(prompt_id))
    else:
        state = replace(state, schedule=state.schedule.removed(prompt_id))
    return _refused(state, prompt_id, "the prompt was removed before its first detection")


def _refused(state: SessionState, prompt_id: int, reason: str) -> SessionState:
    """Refuse all prompts that wait for the first detection of a removed or replaced prompt."""
    return replace(state, prompts=state.prompts.refused(reason, lambda entry: entry.handle.prompt_id == prompt_id))
