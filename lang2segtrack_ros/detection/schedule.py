# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The continuous text and exemplar prompts of a session and the schedule of their detections, as an immutable value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lang2segtrack_ros.detection.detector import Detector, ExemplarMatcher, unknown_words
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import DetectionPrompt, ExemplarPrompt, PromptError, TextPrompt

MAX_PROMPTS = 64
"""Maximum number of continuous text and exemplar prompts."""


@dataclass(frozen=True)
class DetectionOptions:
    """Options of the detections for continuous text and exemplar prompts."""

    detect_every: int = option(
        5,
        "Images from one detection to the next for continuous text and exemplar prompts. Halved while an object waits for confirmation.",
        1,
        10000,
        dynamic=True,
    )
    detect_every_backward: int = option(
        0,
        "Images from one detection to the next in a backward pass, for objects named by text or exemplar. Set to 0 to run no detector "
        "there.",
        0,
        10000,
        dynamic=True,
    )
    exemplar: str = option(
        "auto",
        "Matcher that finds the objects of exemplar prompts. detector: the detector, if it takes exemplars. features: the features of the "
        "segmenter. auto: the detector if it takes exemplars, otherwise the features.",
        choices=("auto", "features", "detector"),
    )


@dataclass(frozen=True)
class DetectionQuery:
    """The phrases and exemplars for one run of the detector.

    Attributes:
        thresholds: minimum score by phrase, 0..1.
        handles: prompts that wait for the result.
        exemplars: minimum score by exemplar, 0..1.
    """

    thresholds: dict[str, float]
    handles: tuple[PromptHandle, ...]
    exemplars: dict[ExemplarPrompt, float] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectionSchedule:
    """The continuous prompts and the frames since their detections.

    Attributes:
        prompts: the continuous text and exemplar prompts by id. An exemplar prompt gets the image of its first frame.
        frames_since_detection: frames since the last detection by prompt id.
        next_id: id of the next prompt.
        detect_now: True makes every continuous prompt due, regardless of its interval.
        named: prompt by phrase, of all prompts since the last reset, continuous or not.
    """

    prompts: Mapping[int, DetectionPrompt] = field(default_factory=dict)
    frames_since_detection: Mapping[int, int] = field(default_factory=dict)
    next_id: int = 1
    detect_now: bool = False
    named: Mapping[str, DetectionPrompt] = field(default_factory=dict)

    @property
    def phrases(self) -> tuple[str, ...]:
        """Return the phrases of all continuous prompts, without repeats."""
        return tuple(dict.fromkeys(phrase for prompt in self.prompts.values() for phrase in prompt.phrases))

    def naming(self, prompt: DetectionPrompt) -> DetectionSchedule:
        """Return the schedule that knows the phrases of a prompt."""
        return replace(self, named={**self.named, **dict.fromkeys(prompt.phrases, prompt)})

    def added(self, prompt: DetectionPrompt, replace_prompt_id: int) -> tuple[DetectionSchedule, int]:
        """Add or replace a continuous prompt. Return the schedule and the id of the prompt.

        Args:
            prompt: the prompt.
            replace_prompt_id: id of the prompt to replace. 0 adds a new one.

        Raises:
            PromptError: there are `MAX_PROMPTS` prompts, or no prompt has the id `replace_prompt_id`.
        """
        if replace_prompt_id:
            self._check_exists(replace_prompt_id)
        elif len(self.prompts) >= MAX_PROMPTS:
            raise PromptError(
                f"{MAX_PROMPTS} text and exemplar prompts are active, and no more are allowed: remove one, or reset the session"
            )
        prompt_id = replace_prompt_id or self.next_id
        schedule = replace(
            self,
            prompts={**self.prompts, prompt_id: prompt},
            frames_since_detection={**self.frames_since_detection, prompt_id: 0},
            next_id=max(self.next_id, prompt_id + 1),
        )
        return schedule, prompt_id

    def removed(self, prompt_id: int) -> DetectionSchedule:
        """Return the schedule without a continuous prompt. Raise PromptError if no prompt has this id."""
        self._check_exists(prompt_id)
        prompts = {key: prompt for key, prompt in self.prompts.items() if key != prompt_id}
        frames = {key: count for key, count in self.frames_since_detection.items() if key != prompt_id}
        return replace(self, prompts=prompts, frames_since_detection=frames)

    def with_exemplar(self, prompt: ExemplarPrompt, prompt_id: int) -> DetectionSchedule:
        """Return the schedule with an exemplar that has got its image.

        Args:
            prompt: the prompt with its image.
            prompt_id: its id. 0 for a prompt that is not continuous.
        """
        schedule = self.naming(prompt)
        return replace(schedule, prompts={**self.prompts, prompt_id: prompt}) if prompt_id in self.prompts else schedule

    def without(self, exemplar: ExemplarPrompt) -> DetectionSchedule:
        """Return the schedule without an exemplar, which need not be continuous."""
        prompt_id = next((key for key, prompt in self.prompts.items() if prompt is exemplar), None)
        return self if prompt_id is None else self.removed(prompt_id)

    def cleared(self) -> DetectionSchedule:
        """Return a schedule without prompts. Later prompts get new ids."""
        return DetectionSchedule(next_id=self.next_id)

    def after_frame(self) -> DetectionSchedule:
        """Return the schedule after one more frame for every continuous prompt."""
        return replace(self, frames_since_detection={key: count + 1 for key, count in self.frames_since_detection.items()})

    def next_query(
        self,
        detector: Detector | None,
        waiting: Mapping[PromptHandle, DetectionPrompt],
        interval: int,
        unconfirmed: Collection[str] = (),
        matcher: ExemplarMatcher | None = None,
    ) -> tuple[DetectionSchedule, DetectionQuery | None]:
        """Return the query that is due on this frame, or None, and the schedule after the query.

        If the detector cannot read all due phrases at once, new prompts come first, then the prompts with the oldest detection.
        The remaining prompts stay due.

        Args:
            detector: the detector that will run the query. None without text prompts.
            waiting: prompts that wait for their first detection, by handle.
            interval: frames between two detections for prompts without an interval of their own.
            unconfirmed: phrases with an object that needs another detection to be confirmed. Their interval is halved.
            matcher: the matcher that will run the query. None without exemplar prompts.
        """
        frames = dict(self.frames_since_detection)
        due = [key for key in self.prompts if self.detect_now or frames[key] >= self._interval(key, interval, unconfirmed)]
        candidates: list[tuple[DetectionPrompt, PromptHandle | int]] = [(self.prompts[prompt_id], prompt_id) for prompt_id in due]
        candidates += [(prompt, handle) for handle, prompt in waiting.items()]
        candidates = [item for item in candidates if not (isinstance(item[0], ExemplarPrompt) and item[0].image is None)]
        if not candidates:
            return self, None
        phrases = [phrase for prompt, _ in candidates if isinstance(prompt, TextPrompt) for phrase in prompt.phrases]
        over_capacity = not _readable(detector, phrases)
        if over_capacity:
            candidates.sort(key=lambda item: float("-inf") if isinstance(item[1], PromptHandle) else -frames[item[1]])
        query = DetectionQuery({}, ())
        handles: list[PromptHandle] = []
        for prompt, requester in candidates:
            if isinstance(prompt, ExemplarPrompt):
                query.exemplars[prompt] = _threshold(prompt, matcher.default_exemplar_threshold if matcher is not None else 1.0)
            elif over_capacity and query.thresholds and not _readable(detector, [*query.thresholds, *prompt.phrases]):
                continue
            else:
                threshold = _threshold(prompt, detector.default_threshold if detector is not None else 1.0)
                for phrase in prompt.phrases:
                    query.thresholds[phrase] = min(threshold, query.thresholds.get(phrase, 1.0))
            if isinstance(requester, PromptHandle):
                handles.append(requester)
            prompt_id = requester.prompt_id if isinstance(requester, PromptHandle) else requester
            if prompt_id in frames:
                frames[prompt_id] = 0
        schedule = replace(self, frames_since_detection=frames, detect_now=False)
        return schedule, replace(query, handles=tuple(handles))

    def _interval(self, prompt_id: int, interval: int, unconfirmed: Collection[str]) -> int:
        prompt = self.prompts[prompt_id]
        frames = prompt.interval or interval
        return frames if set(prompt.phrases).isdisjoint(unconfirmed) else (frames + 1) // 2

    def _check_exists(self, prompt_id: int) -> None:
        if prompt_id not in self.prompts:
            active = ", ".join(map(str, self.prompts)) or "none"
            raise PromptError(f"there is no text prompt {prompt_id}: use the id of an active text or exemplar prompt ({active})")


def _threshold(prompt: DetectionPrompt, default: float) -> float:
    return default if prompt.threshold is None else prompt.threshold


def _readable(detector: Detector | None, phrases: Sequence[str]) -> bool:
    """Return True if the detector can process all phrases in one query."""
    if detector is None or not phrases:
        return True
    try:
        unknown_words(detector, list(dict.fromkeys(phrases)))
    except PromptError:
        return False
    return True
