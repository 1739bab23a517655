# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of a prompt, and of a question to the detector, on the way through a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lang2segtrack_ros.types.prompts import Prompt

MAX_ATTEMPTS = 3
"""Frames on which a prompt is tried when something fails that is not the prompt's fault."""


@dataclass(eq=False)
class PromptHandle:
    """What became of a prompt. Filled in by the frame that applies it.

    Attributes:
        prompt: the prompt.
        prompt_id: > 0, number of a continuous text prompt, by which it is changed and removed; 0 for other prompts.
        done: True once it was applied or refused.
        track_ids: the objects it made, found or corrected.
        labels: one for each of track_ids.
        error: why it was refused, empty when it was not.
        notes: sentences the user should see, such as words the detector does not know.
        failures: how often work on it has failed for a reason that was not the prompt's own.
    """

    prompt: Prompt
    prompt_id: int = 0
    done: bool = False
    track_ids: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    error: str = ""
    notes: list[str] = field(default_factory=list)
    failures: int = 0

    def retries_exhausted(self, error: Exception, what: str) -> bool:
        """Counts a failure; True, and the prompt is answered, when it has had its tries."""
        self.failures += 1
        if self.failures >= MAX_ATTEMPTS:
            going_on = "; it is looked for on" if self.prompt_id else ""
            self.finish([], [], f"{what} failed {MAX_ATTEMPTS} times, the last time with {type(error).__name__}: {error}{going_on}")
        return self.done

    def finish(self, track_ids: Sequence[int], labels: Sequence[str], error: str = "") -> None:
        """The prompt is answered."""
        self.track_ids, self.labels, self.error, self.done = list(track_ids), list(labels), error, True
