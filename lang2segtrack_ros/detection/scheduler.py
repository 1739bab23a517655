# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The text prompts of a session, and the schedule of their detections."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

MAX_TEXTS = 64
"""Maximum number of continuous text prompts."""


@dataclass(frozen=True)
class DetectionQuery:
    """The phrases for one run of the detector.

    Attributes:
        thresholds: minimum score by phrase, 0..1.
        handles: handles of the prompts that wait for the result.
    """

    thresholds: dict[str, float]
    handles: list[PromptHandle]


class DetectionScheduler:
    """A schedule of the continuous text prompts and of all text prompts that wait for their first detection.

    Attributes:
        handles: handles of the prompts that wait for a detection.
        detect_now: True makes every continuous prompt due, regardless of its interval.
    """

    STATE = ("handles", "detect_now", "_texts", "_frames_since_detection")
    """Attributes that a frame changes. The session restores them when a frame fails."""

    def __init__(self) -> None:
        self.handles: list[PromptHandle] = []
        self.detect_now = False
        self._texts: dict[int, TextPrompt] = {}
        self._frames_since_detection: dict[int, int] = {}  # frames since the last detection, by prompt id
        self._next = 1

    @property
    def texts(self) -> dict[int, TextPrompt]:
        """Return the continuous text prompts by id."""
        return dict(self._texts)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases of all continuous text prompts, without repeats."""
        return tuple(dict.fromkeys(phrase for text in self._texts.values() for phrase in text.phrases))

    def add(self, prompt: TextPrompt, replace_prompt_id: int) -> int:
        """Add or replace a continuous text prompt, and return its id.

        Args:
            prompt: the prompt.
            replace_prompt_id: id of the prompt to replace. 0 adds a new one.

        Raises:
            PromptError: there are `MAX_TEXTS` prompts, or no prompt has the id `replace_prompt_id`.
        """
        if replace_prompt_id:
            self._check_exists(replace_prompt_id)
            prompt_id = replace_prompt_id
        elif len(self._texts) >= MAX_TEXTS:
            raise PromptError(f"{MAX_TEXTS} text prompts are active, and no more are allowed: remove one, or reset the session")
        else:
            prompt_id = self._next
            self._next += 1
        self._texts[prompt_id] = prompt
        self._frames_since_detection[prompt_id] = 0
        return prompt_id

    def remove(self, prompt_id: int) -> None:
        """Remove a continuous text prompt. Raise PromptError if no prompt has this id."""
        self._check_exists(prompt_id)
        del self._texts[prompt_id], self._frames_since_detection[prompt_id]

    def reset(self) -> None:
        """Remove all prompts. Later prompts get new ids."""
        self._texts.clear()
        self._frames_since_detection.clear()
        self.handles.clear()
        self.detect_now = False

    def tick(self) -> None:
        """Count one more frame for every continuous prompt."""
        for prompt_id in self._frames_since_detection:
            self._frames_since_detection[prompt_id] += 1

    def next_query(self, detector: Detector, interval: int, unconfirmed: Collection[str] = ()) -> DetectionQuery | None:
        """Return the query that is due on this frame, or None. The caller must run the returned query.

        If the detector cannot read all due phrases at once, new prompts come first, then the prompts with the oldest detection.
        The remaining prompts stay due.

        Args:
            detector: the detector that will run the query.
            interval: frames between two detections for prompts without an interval of their own.
            unconfirmed: phrases with an object that needs another detection to be confirmed. Their interval is halved.
        """
        due = [
            prompt_id
            for prompt_id in self._texts
            if self.detect_now or self._frames_since_detection[prompt_id] >= self._interval(prompt_id, interval, unconfirmed)
        ]
        candidates: list[tuple[TextPrompt, PromptHandle | int]] = [(self._texts[prompt_id], prompt_id) for prompt_id in due]
        candidates += [(handle.prompt, handle) for handle in self.handles if isinstance(handle.prompt, TextPrompt)]
        if not candidates:
            return None
        over_capacity = not _readable(detector, [phrase for text, _ in candidates for phrase in text.phrases])
        if over_capacity:
            candidates.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -self._frames_since_detection[item[1]])
        query = DetectionQuery({}, [])
        for text, requester in candidates:
            if over_capacity and query.thresholds and not _readable(detector, [*query.thresholds, *text.phrases]):
                continue
            threshold = detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                query.thresholds[phrase] = min(threshold, query.thresholds.get(phrase, 1.0))
            if isinstance(requester, PromptHandle):
                query.handles.append(requester)
            prompt_id = requester.prompt_id if isinstance(requester, PromptHandle) else requester
            if prompt_id in self._frames_since_detection:
                self._frames_since_detection[prompt_id] = 0
        self.detect_now = False
        self.handles = [handle for handle in self.handles if handle not in query.handles]
        return query

    def _interval(self, prompt_id: int, interval: int, unconfirmed: Collection[str]) -> int:
        text = self._texts[prompt_id]
        frames = text.interval or interval
        return frames if set(text.phrases).isdisjoint(unconfirmed) else (frames + 1) // 2

    def _check_exists(self, prompt_id: int) -> None:
        if prompt_id not in self._texts:
            active = ", ".join(map(str, self._texts)) or "none"
            raise PromptError(f"there is no text prompt {prompt_id}: use the id of an active text prompt ({active})")


def _readable(detector: Detector, phrases: Sequence[str]) -> bool:
    """Return True if the detector can process all phrases in one query."""
    try:
        detector.check(list(dict.fromkeys(phrases)))
    except PromptError:
        return False
    return True
