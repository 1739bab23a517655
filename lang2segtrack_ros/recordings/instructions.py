# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Instructions of a recording: each is answered once, on the first image where all its objects are found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lang2segtrack_ros.detection.detector import DetectorError
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResolver
from lang2segtrack_ros.instructions.chain import answer_instruction, read
from lang2segtrack_ros.instructions.plan import InstructionError
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, PromptError


@dataclass
class _Waiting:
    """An instruction without an answer.

    Attributes:
        at: number of the first image on which it is tried.
        prompt: the instruction.
        reason: why the latest image did not answer it. Empty before the first.
    """

    at: int
    prompt: InstructionPrompt
    reason: str = ""


class InstructionQueue:
    """The instructions that wait for their image.

    The resolver of the session answers them, or without one the grammar with its detector. They are tried on every `detect_every`-th image
    only, because detectors and models are slower than the tracker.

    Args:
        instructions: number of the first image of each instruction, and the instruction.

    Attributes:
        answers: a line for each plan, choice and reason of the answered instructions.
    """

    def __init__(self, instructions: Iterable[tuple[int, InstructionPrompt]]) -> None:
        self._waiting = [_Waiting(at, prompt) for at, prompt in instructions]
        self.answers: list[str] = []

    @property
    def unanswered(self) -> list[str]:
        """Return a sentence for each instruction without an answer."""
        return [f'"{item.prompt.text}" is not answered: {item.reason or "no image came"}' for item in self._waiting]

    def prompts(self, session: Session, frame: Frame, number: int) -> list[BoxPrompt | MaskPrompt]:
        """Return the prompts of the instructions that this image answers.

        Args:
            session: the session with the detector.
            frame: the image.
            number: its number.

        Raises:
            InstructionError: the detector cannot search for the objects of an instruction.
            PromptError: the session has neither a resolver nor a detector.
            VlmError: the vision-language model gives no answer.
        """
        prompts = []
        for item in list(self._waiting):
            if number < item.at or (number - item.at) % session.options.detect_every:
                continue
            found = self._answer(session, frame, number, item)
            if found:
                self.answers += [f'"{item.prompt.text}" on image {number}:', *(f"  {line}" for line in found[0])]
                self._waiting.remove(item)
                prompts += found[1]
        return prompts

    @staticmethod
    def _answer(session: Session, frame: Frame, number: int, item: _Waiting) -> tuple[list[str], list[BoxPrompt | MaskPrompt]] | None:
        """Return lines and prompts of the answer, or None if this image does not answer the instruction."""
        has_depth = frame.depth is not None and frame.depth.shape == frame.color.shape[:2]
        depth = frame.depth if has_depth else None
        if session.instructions.resolver is not None:
            request = InstructionRequest(
                number, frame.color, item.prompt, depth=depth, camera=frame.camera, max_objects=session.options.max_objects
            )
            return _resolved(session.instructions.resolver, request, item)
        if session.detector is None:
            raise PromptError("there is no detector for instructions: load a detector, or use box, point or mask prompts")
        read(session.detector, item.prompt)  # a sentence or word that cannot be read raises here, on the first image
        try:
            answer = answer_instruction(session.detector, frame.color, item.prompt, depth, frame.camera, session.options.max_objects)
        except (InstructionError, DetectorError) as error:
            item.reason = str(error)
            return None
        item.reason = "; ".join(answer.missing)
        return (answer.lines(), answer.prompts) if answer.is_complete else None


def _resolved(
    resolver: InstructionResolver, request: InstructionRequest, item: _Waiting
) -> tuple[list[str], list[BoxPrompt | MaskPrompt]] | None:
    """Return lines and prompts of the answer of a resolver, or None if this image does not answer the instruction."""
    try:
        result = resolver.resolve(request)
    except PromptError as error:
        item.reason = str(error)
        return None
    item.reason = "; ".join(result.missing)
    return (result.lines(), [found.prompt for found in result.detections]) if result.is_complete else None
