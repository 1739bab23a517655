# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The prompt that names objects by a sentence with relations, such as "the mug left of the laptop"."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.types.checks import describe
from lang2segtrack_ros.types.prompts import MAX_TEXT_LENGTH, PromptError, split_phrases


@dataclass(frozen=True)
class InstructionPrompt:
    """Objects by a sentence. A session takes the box prompts that `instructions.chain` makes of it.

    Attributes:
        text: the sentence; docs/instructions.md describes the grammar.
        threshold: minimum score of a detection, 0..1. None uses the default of the detector.
        everything: phrases that together name all objects, for words such as "everything". Empty uses those known for the detector.

    Raises:
        PromptError: the text is no text, empty or too long, the threshold is outside 0..1, or `everything` is no phrase.
    """

    text: str
    threshold: float | None = None
    everything: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise PromptError(f'instruction is {describe(self.text)}: give a sentence, such as "the mug left of the laptop"')
        if len(self.text) > MAX_TEXT_LENGTH:
            raise PromptError(f"the instruction has {len(self.text)} characters; the maximum is {MAX_TEXT_LENGTH}: write a shorter one")
        if not self.text.strip():
            raise PromptError('the instruction is empty: write a sentence, such as "the mug left of the laptop"')
        threshold = self.threshold
        if threshold is not None and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
            raise PromptError(f"threshold is {describe(threshold)}; it must be a number between 0 and 1")
        texts = (self.everything,) if isinstance(self.everything, str) else self.everything
        object.__setattr__(self, "everything", tuple(phrase for text in texts for phrase in split_phrases(text)))
