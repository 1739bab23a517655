# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The continuous text prompts of a session and the schedule of their detections, as an immutable value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.detection.detector import Detector, unknown_words
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import PromptError, TextPrompt

MAX_TEXTS = 64
"""Maximum number of continuous text prompts."""


@dataclass(frozen=True)
class DetectionOptions:
    """Options of the detections for continuous text prompts."""

    detect_every: int = option(
        5,
        "Images from one detection to the next for continuous text prompts. Halved while an object waits for confirmation.",
        1,
        10000,
        dynamic=True,
    )
    detect_every_backward: int = option(
        0,
        "Images from one detection to the next in a backward pass, for objects named by text. Set to 0 to run no detector there.",
        0,
        10000,
        dynamic=True,
    )


@dataclass(frozen=True)
class DetectionQuery:
    """The phrases for one run of the detector.

    Attributes:
        thresholds: minimum score by phrase, 0..1.
        handles: prompts that wait for the result.
    """

    thresholds: dict[str, float]
    handles: tuple[PromptHandle, ...]


@dataclass(frozen=True)
class DetectionSchedule:
    """The continuous text prompts and the frames since their detections.

    Attributes:
        texts: the continuous text prompts by id.
        frames_since_detection: frames since the last detection by prompt id.
        next_id: id of the next prompt.
        detect_now: True makes every continuous prompt due, regardless of its interval.
        named: threshold by phrase of all text prompts since the last reset, continuous or not. None is the detector's own threshold.
    """

    texts: Mapping[int, TextPrompt] = field(default_factory=dict)
    frames_since_detection: Mapping[int, int] = field(default_factory=dict)
    next_id: int = 1
    detect_now: bool = False
    named: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases of all continuous text prompts, without repeats."""
        return tuple(dict.fromkeys(phrase for text in self.texts.values() for phrase in text.phrases))

    def naming(self, prompt: TextPrompt) -> DetectionSchedule:
        """Return the schedule that knows the phrases of a text prompt."""
        return replace(self, named={**self.named, **dict.fromkeys(prompt.phrases, prompt.threshold)})

    def added(self, prompt: TextPrompt, replace_prompt_id: int) -> tuple[DetectionSchedule, int]:
        """Add or replace a continuous text prompt. Return the schedule and the id of the prompt.

        Args:
            prompt: the prompt.
            replace_prompt_id: id of the prompt to replace. 0 adds a new one.

        Raises:
            PromptError: there are `MAX_TEXTS` prompts, or no prompt has the id `replace_prompt_id`.
        """
        if replace_prompt_id:
            self._check_exists(replace_prompt_id)
        elif len(self.texts) >= MAX_TEXTS:
            raise PromptError(f"{MAX_TEXTS} text prompts are active, and no more are allowed: remove one, or reset the session")
        prompt_id = replace_prompt_id or self.next_id
        schedule = replace(
            self,
            texts={**self.texts, prompt_id: prompt},
            frames_since_detection={**self.frames_since_detection, prompt_id: 0},
            next_id=max(self.next_id, prompt_id + 1),
        )
        return schedule, prompt_id

    def removed(self, prompt_id: int) -> DetectionSchedule:
        """Return the schedule without a continuous text prompt. Raise PromptError if no prompt has this id."""
        self._check_exists(prompt_id)
        texts = {key: text for key, text in self.texts.items() if key != prompt_id}
        frames = {key: count for key, count in self.frames_since_detection.items() if key != prompt_id}
        return replace(self, texts=texts, frames_since_detection=frames)

    def cleared(self) -> DetectionSchedule:
        """Return a schedule without prompts. Later prompts get new ids."""
        return DetectionSchedule(next_id=self.next_id)

    def after_frame(self) -> DetectionSchedule:
        """Return the schedule after one more frame for every continuous prompt."""
        return replace(self, frames_since_detection={key: count + 1 for key, count in self.frames_since_detection.items()})

    def next_query(
        self, detector: Detector, waiting: Sequence[PromptHandle], interval: int, unconfirmed: Collection[str] = ()
    ) -> tuple[DetectionSchedule, DetectionQuery | None]:
        """Return the query that is due on this frame, or None, and the schedule after the query.

        If the detector cannot read all due phrases at once, new prompts come first, then the prompts with the oldest detection.
        The remaining prompts stay due.

        Args:
            detector: the detector that will run the query.
            waiting: text prompts that wait for their first detection.
            interval: frames between two detections for prompts without an interval of their own.
            unconfirmed: phrases with an object that needs another detection to be confirmed. Their interval is halved.
        """
        frames = dict(self.frames_since_detection)
        due = [key for key in self.texts if self.detect_now or frames[key] >= self._interval(key, interval, unconfirmed)]
        candidates: list[tuple[TextPrompt, PromptHandle | int]] = [(self.texts[prompt_id], prompt_id) for prompt_id in due]
        candidates += [(handle.prompt, handle) for handle in waiting if isinstance(handle.prompt, TextPrompt)]
        if not candidates:
            return self, None
        over_capacity = not _readable(detector, [phrase for text, _ in candidates for phrase in text.phrases])
        if over_capacity:
            candidates.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -frames[item[1]])
        thresholds: dict[str, float] = {}
        handles: list[PromptHandle] = []
        for text, requester in candidates:
            if over_capacity and thresholds and not _readable(detector, [*thresholds, *text.phrases]):
                continue
            threshold = detector.default_threshold if text.threshold is None else text.threshold
            for phrase in text.phrases:
                thresholds[phrase] = min(threshold, thresholds.get(phrase, 1.0))
            if isinstance(requester, PromptHandle):
                handles.append(requester)
            prompt_id = requester.prompt_id if isinstance(requester, PromptHandle) else requester
            if prompt_id in frames:
                frames[prompt_id] = 0
        schedule = replace(self, frames_since_detection=frames, detect_now=False)
        return schedule, DetectionQuery(thresholds, tuple(handles))

    def _interval(self, prompt_id: int, interval: int, unconfirmed: Collection[str]) -> int:
        text = self.texts[prompt_id]
        frames = text.interval or interval
        return frames if set(text.phrases).isdisjoint(unconfirmed) else (frames + 1) // 2

    def _check_exists(self, prompt_id: int) -> None:
        if prompt_id not in self.texts:
            active = ", ".join(map(str, self.texts)) or "none"
            raise PromptError(f"there is no text prompt {prompt_id}: use the id of an active text prompt ({active})")


def _readable(detector: Detector, phrases: Sequence[str]) -> bool:
    """Return True if the detector can process all phrases in one query."""
    try:
        unknown_words(detector, list(dict.fromkeys(phrases)))
    except PromptError:
        return False
    return True
