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
class DetectionQuery:
    """What the detector is asked.

    Attributes:
        thresholds: least score by phrase.
        handles: prompts that the answer settles.
    """

    thresholds: dict[str, float]
    handles: list[PromptHandle]


class DetectionScheduler:
    """Continuous text prompts by number, and prompts of either kind that no look has answered yet.

    Attributes:
        handles: prompts that wait for a look.
        detect_now: every continuous prompt is due, whatever its interval.
    """

    STATE = ("handles", "detect_now", "_texts", "_frames_since_detection")
    """Attributes that a frame changes."""

    def __init__(self) -> None:
        self.handles: list[PromptHandle] = []
        self.detect_now = False
        self._texts: dict[int, TextPrompt] = {}
        self._frames_since_detection: dict[int, int] = {}  # frames since the last look for each of them
        self._next = 1

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """The continuous text prompts by number."""
        return dict(self._texts)

    @property
    def phrases(self) -> tuple[str, ...]:
        """What is looked for continuously."""
        return tuple(dict.fromkeys(phrase for text in self._texts.values() for phrase in text.phrases))

    def add(self, prompt: TextPrompt, replace_prompt_id: int) -> int:
        """Its number. Raises PromptError when there are too many, or none has the number whose place it is to take."""
        if replace_prompt_id:
            self._check_known(replace_prompt_id)
            number = replace_prompt_id
        elif len(self._texts) >= MAX_TEXTS:
            raise PromptError(f"{MAX_TEXTS} text prompts are looked for already and no more are allowed: remove one, or reset")
        else:
            number = self._next
            self._next += 1
        self._texts[number] = prompt
        self._frames_since_detection[number] = 0
        return number

    def remove(self, number: int) -> None:
        """Looks for it no longer. Raises PromptError when none has this number."""
        self._check_known(number)
        del self._texts[number], self._frames_since_detection[number]

    def reset(self) -> None:
        """Forgets all; numbers go on."""
        self._texts.clear()
        self._frames_since_detection.clear()
        self.handles.clear()
        self.detect_now = False

    def tick(self) -> None:
        """A frame has come."""
        for number in self._frames_since_detection:
            self._frames_since_detection[number] += 1

    def next_query(self, detector: Detector, interval: int, unconfirmed: Collection[str] = ()) -> DetectionQuery | None:
        """What a look on this frame is for, None when nothing is due; counts as done.

        Args:
            detector: will look.
            every: frames, for prompts without their own.
            unconfirmed: phrases of which an object waits to be found again; half the time is enough for these.
        """
        due = [
            number
            for number in self._texts
            if self.detect_now or self._frames_since_detection[number] >= self._interval(number, interval, unconfirmed)
        ]
        asked: list[tuple[TextPrompt, PromptHandle | int]] = [(self._texts[number], number) for number in due]
        asked += [(handle.prompt, handle) for handle in self.handles if isinstance(handle.prompt, TextPrompt)]
        if not asked:
            return None
        crowded = not _readable(detector, [phrase for text, _ in asked for phrase in text.phrases])
        if crowded:  # new prompts come first, then what was not looked for the longest; the others' turn comes on the next look
            asked.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -self._frames_since_detection[item[1]])
        query = DetectionQuery({}, [])
        for text, asker in asked:
            if crowded and query.thresholds and not _readable(detector, [*query.thresholds, *text.phrases]):
                continue
            threshold = detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                query.thresholds[phrase] = min(threshold, query.thresholds.get(phrase, 1.0))
            if isinstance(asker, PromptHandle):
                query.handles.append(asker)
            number = asker.prompt_id if isinstance(asker, PromptHandle) else asker
            if number in self._frames_since_detection:
                self._frames_since_detection[number] = 0
        self.detect_now = False
        self.handles = [handle for handle in self.handles if handle not in query.handles]
        return query

    def _interval(self, number: int, interval: int, unconfirmed: Collection[str]) -> int:
        text = self._texts[number]
        frames = text.interval or interval
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
