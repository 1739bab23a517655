# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The text prompts of a session: which there are, which are due, and what the detector is asked next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

MAX_TEXTS = 64
"""Continuous text prompts."""


@dataclass(frozen=True)
class Wanted:
    """What the detector is asked.

    Attributes:
        thresholds: least score by phrase.
        handles: prompts that the answer settles.
    """

    thresholds: dict[str, float]
    handles: list[PromptHandle]


class TextPrompts:
    """Continuous text prompts by number, and prompts of either kind that no look has answered yet.

    Attributes:
        handles: prompts that wait for a look.
        look_now: every continuous prompt is due, whatever its interval.
    """

    STATE = ("handles", "look_now", "_texts", "_looked")
    """Attributes that a frame changes."""

    def __init__(self) -> None:
        self.handles: list[PromptHandle] = []
        self.look_now = False
        self._texts: dict[int, TextPrompt] = {}
        self._looked: dict[int, int] = {}  # frames since the last look for each of them
        self._next = 1

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """The continuous text prompts by number."""
        return dict(self._texts)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is looked for continuously."""
        return tuple(dict.fromkeys(phrase for text in self._texts.values() for phrase in text.phrases))

    def add(self, prompt: TextPrompt, replaces: int) -> int:
        """Its number. Raises PromptError when there are too many, or none has the number whose place it is to take."""
        if replaces:
            self._check_known(replaces)
            number = replaces
        elif len(self._texts) >= MAX_TEXTS:
            raise PromptError(f"{MAX_TEXTS} text prompts are looked for already and no more are allowed: remove one, or reset")
        else:
            number = self._next
            self._next += 1
        self._texts[number] = prompt
        self._looked[number] = 0
        return number

    def remove(self, number: int) -> None:
        """Looks for it no longer. Raises PromptError when none has this number."""
        self._check_known(number)
        del self._texts[number], self._looked[number]

    def reset(self) -> None:
        """Forgets all; numbers go on."""
        self._texts.clear()
        self._looked.clear()
        self.handles.clear()
        self.look_now = False

    def tick(self) -> None:
        """A frame has come."""
        for number in self._looked:
            self._looked[number] += 1

    def next_look(self, detector: Detector, every: int, unconfirmed: Collection[str] = ()) -> Wanted | None:
        """What a look on this frame is for, None when nothing is due; counts as done.

        Args:
            detector: will look.
            every: frames, for prompts without their own.
            unconfirmed: phrases of which an object waits to be found again; half the time is enough for these.
        """
        due = [number for number in self._texts if self.look_now or self._looked[number] >= self._interval(number, every, unconfirmed)]
        asked: list[tuple[TextPrompt, PromptHandle | int]] = [(self._texts[number], number) for number in due]
        asked += [(handle.prompt, handle) for handle in self.handles if isinstance(handle.prompt, TextPrompt)]
        if not asked:
            return None
        crowded = not _readable(detector, [phrase for text, _ in asked for phrase in text.phrases])
        if crowded:  # new prompts come first, then what was not looked for the longest; the others' turn comes on the next look
            asked.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -self._looked[item[1]])
        wanted = Wanted({}, [])
        for text, asker in asked:
            if crowded and wanted.thresholds and not _readable(detector, [*wanted.thresholds, *text.phrases]):
                continue
            threshold = detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                wanted.thresholds[phrase] = min(threshold, wanted.thresholds.get(phrase, 1.0))
            if isinstance(asker, PromptHandle):
                wanted.handles.append(asker)
            number = asker.prompt_id if isinstance(asker, PromptHandle) else asker
            if number in self._looked:
                self._looked[number] = 0
        self.look_now = False
        self.handles = [handle for handle in self.handles if handle not in wanted.handles]
        return wanted

    def _interval(self, number: int, every: int, unconfirmed: Collection[str]) -> int:
        text = self._texts[number]
        frames = text.every or every
        return frames if set(text.phrases).isdisjoint(unconfirmed) else (frames + 1) // 2

    def _check_known(self, number: int) -> None:
        if number not in self._texts:
            known = ", ".join(map(str, self._texts)) or "none"
            raise PromptError(f"there is no text prompt {number}; looked for now: {known}")


def _readable(detector: Detector, phrases: Sequence[str]) -> bool:
    """Whether the detector can look for all of these at once."""
    try:
        detector.check(list(dict.fromkeys(phrases)))
    except PromptError:
        return False
    return True
