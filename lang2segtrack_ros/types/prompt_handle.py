# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of a prompt that was given to a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lang2segtrack_ros.types.prompts import Prompt

MAX_ATTEMPTS = 3
"""Maximum number of attempts for a prompt whose frames or detections fail for another reason than the prompt."""


@dataclass(eq=False)
class PromptHandle:
    """The outcome of one prompt. The session fills it in when a frame applies the prompt.

    Attributes:
        prompt: the prompt.
        prompt_id: id of a continuous text prompt, > 0. `replace_prompt_id` and `remove_text` take this id. 0 for other prompts.
        done: True after the session applied or refused the prompt.
        track_ids: ids of the objects that the prompt started, found or corrected.
        labels: one label for each of `track_ids`.
        error: reason of the refusal. Empty if the prompt was applied.
        notes: sentences for the user, such as words that the detector does not know.
        failures: number of failed attempts whose cause was not the prompt itself.
    """

    prompt: Prompt
    prompt_id: int = 0
    done: bool = False
    track_ids: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    error: str = ""
    notes: list[str] = field(default_factory=list)
    failures: int = 0

    def retries_exhausted(self, error: Exception, operation: str) -> bool:
        """Count a failed attempt, and refuse the prompt after `MAX_ATTEMPTS`.

        Args:
            error: the exception of this attempt.
            operation: name of the failed operation for the message, such as "the detector".

        Returns:
            True if the prompt is done, so that no further attempt follows.
        """
        self.failures += 1
        if self.failures >= MAX_ATTEMPTS:
            continues = "; detection continues" if self.prompt_id else ""
            self.finish([], [], f"{operation} failed {MAX_ATTEMPTS} times, the last time with {type(error).__name__}: {error}{continues}")
        return self.done

    def finish(self, track_ids: Sequence[int], labels: Sequence[str], error: str = "") -> None:
        """Store the outcome and mark the prompt as done.

        Args:
            track_ids: ids of the objects that the prompt started, found or corrected.
            labels: one label for each of `track_ids`.
            error: reason of the refusal. Empty if the prompt was applied.
        """
        self.track_ids, self.labels, self.error, self.done = list(track_ids), list(labels), error, True
