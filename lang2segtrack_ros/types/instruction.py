# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompt that names objects by a sentence with relations, such as "the mug left of the laptop"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Union

from lang2segtrack_ros.types.checks import as_finite, as_number, describe
from lang2segtrack_ros.types.prompts import MAX_TEXT_LENGTH, Prompt, PromptError, split_phrases


@dataclass(frozen=True)
class InstructionPrompt:
    """Objects by a sentence.

    Attributes:
        text: the sentence; docs/instructions.md describes the grammar.
        threshold: minimum score of a detection, 0..1. None uses the default of the detector.
        everything: names of all objects that "everything" stands for, "mug. tool. box.". Empty uses those known for the detector.
        mode: "once" answers the instruction on one image. "continuous" checks it again and again; a session then ends its objects that no
            longer fit, and adds new ones.
        verify_every_s: time in seconds between two checks of a continuous instruction. None uses `verify_every_s` of the session.
        names: the phrases of `everything`.

    Raises:
        PromptError: a text is no text or too long, the instruction is empty, the threshold is outside 0..1, the mode is unknown, or the
            time is not positive.
    """

    text: str
    threshold: float | None = None
    everything: str = ""
    mode: Literal["once", "continuous"] = "once"
    verify_every_s: float | None = None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name, text in (("the instruction", self.text), ("everything", self.everything)):
            if not isinstance(text, str):
                raise PromptError(f'{name} is {describe(text)}: give a text, such as "the mug left of the laptop" or "mug. tool. box."')
            if len(text) > MAX_TEXT_LENGTH:
                raise PromptError(f"{name} has {len(text)} characters; the maximum is {MAX_TEXT_LENGTH}: write a shorter text")
        if not self.text.strip():
            raise PromptError('the instruction is empty: write a sentence, such as "the mug left of the laptop"')
        threshold = as_number(self.threshold)
        if self.threshold is not None and (threshold is None or not 0 <= threshold <= 1):
            raise PromptError(f"threshold is {describe(self.threshold)}; it must be a number between 0 and 1")
        if not isinstance(self.mode, str) or self.mode not in ("once", "continuous"):
            raise PromptError(f'mode is {describe(self.mode)}; it must be "once" or "continuous"')
        seconds = as_finite(self.verify_every_s)
        if self.verify_every_s is not None and (seconds is None or seconds <= 0):
            raise PromptError(f"verify_every_s is {describe(self.verify_every_s)}; it must be a number of seconds above 0")
        object.__setattr__(self, "threshold", threshold)
        object.__setattr__(self, "verify_every_s", seconds)
        object.__setattr__(self, "names", split_phrases(self.everything))


AnyPrompt = Union[Prompt, InstructionPrompt]
"""A prompt that a session takes."""
