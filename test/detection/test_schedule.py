# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Each text prompt is detected at its own interval, and all phrases get their turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.schedule import MAX_PROMPTS, DetectionQuery, DetectionSchedule
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import DetectionPrompt, ExemplarPrompt, PromptError, TextPrompt


class LimitedDetector:
    """A detector that reads a limited number of phrases at once."""

    name, default_threshold = "limited", 0.4

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit

    def check(self, phrases: Sequence[str]) -> list[str]:
        if len(phrases) > self.limit:
            raise PromptError(f"at most {self.limit} phrases")
        return []

    def detect(self, color: np.ndarray, phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        raise AssertionError("the schedule runs no detection")


def prompts_of(handles: Sequence[PromptHandle]) -> dict[PromptHandle, DetectionPrompt]:
    return {handle: handle.prompt for handle in handles if isinstance(handle.prompt, (TextPrompt, ExemplarPrompt))}


def scheduled(*prompts: TextPrompt) -> DetectionSchedule:
    """Return a schedule of these prompts, with the ids 1, 2, ..."""
    schedule = DetectionSchedule()
    for prompt in prompts:
        schedule, _ = schedule.added(prompt, 0)
    return schedule


def run(
    schedule: DetectionSchedule,
    frames: int,
    interval: int = 5,
    limit: int = 100,
    unconfirmed: Collection[str] = (),
    waiting: Sequence[PromptHandle] = (),
) -> tuple[DetectionSchedule, list[tuple[str, ...]]]:
    """Return the schedule after some frames, and the phrases of the query on each frame."""
    queries, waiting = [], list(waiting)
    for _ in range(frames):
        schedule, query = schedule.after_frame().next_query(LimitedDetector(limit), prompts_of(waiting), interval, unconfirmed)
        queries.append(tuple(query.thresholds) if query is not None else ())
        waiting = [handle for handle in waiting if query is None or handle not in query.handles]
    return schedule, queries


def frames_of(queries: list[tuple[str, ...]], phrase: str) -> list[int]:
    """Return the frames on which a phrase is detected, from 1."""
    return [frame for frame, phrases in enumerate(queries, start=1) if phrase in phrases]


def query_of(schedule: DetectionSchedule, waiting: Sequence[PromptHandle] = ()) -> DetectionQuery | None:
    return schedule.next_query(LimitedDetector(), prompts_of(waiting), 1)[1]


def test_prompt_is_detected_once_per_interval() -> None:
    assert frames_of(run(scheduled(TextPrompt("cup")), 12, interval=5)[1], "cup") == [5, 10]


def test_interval_of_a_prompt_overrides_that_of_the_session() -> None:
    queries = run(scheduled(TextPrompt("cup", interval=2), TextPrompt("pen")), 9, interval=4)[1]
    assert frames_of(queries, "cup") == [2, 4, 6, 8]
    assert frames_of(queries, "pen") == [4, 8]
    assert queries[3] == ("cup", "pen"), "both run in one query"


@pytest.mark.parametrize(("interval", "halved"), [(5, [3, 6, 9]), (4, [2, 4, 6, 8, 10]), (1, list(range(1, 11)))])
def test_object_that_waits_for_confirmation_halves_the_interval(interval: int, halved: list[int]) -> None:
    """Only its own prompt is detected more often. An odd interval is rounded up, and stays at least 1."""
    queries = run(scheduled(TextPrompt("cup. pen"), TextPrompt("mug")), 10, interval, unconfirmed={"pen"})[1]
    assert frames_of(queries, "cup") == frames_of(queries, "pen") == halved
    assert frames_of(queries, "mug") == list(range(interval, 11, interval))


def test_new_prompt_is_detected_on_the_next_frame() -> None:
    prompt = TextPrompt("cup")
    schedule, prompt_id = DetectionSchedule().added(prompt, 0)
    handle = PromptHandle(prompt, prompt_id)
    schedule, query = schedule.after_frame().next_query(LimitedDetector(), prompts_of([handle]), 5)
    assert query == DetectionQuery({"cup": 0.4}, (handle,))
    assert frames_of(run(schedule, 10)[1], "cup") == [5, 10], "the interval starts with the first detection"


def test_once_prompt_is_detected_without_an_interval() -> None:
    handle = PromptHandle(TextPrompt("cup", "once"))
    schedule, queries = run(DetectionSchedule(), 10, waiting=[handle])
    assert frames_of(queries, "cup") == [1]
    assert schedule.frames_since_detection == {}


def test_no_prompt_gives_no_query() -> None:
    schedule = DetectionSchedule()
    assert schedule.next_query(LimitedDetector(), {}, 1) == (schedule, None)
    assert query_of(scheduled(TextPrompt("cup"))) is None, "no frame has passed"


def test_threshold_of_a_phrase_is_the_lowest_of_its_prompts() -> None:
    """A prompt without a threshold uses the default of the detector."""
    schedule = scheduled(TextPrompt("cup", threshold=0.6), TextPrompt("cup. pen", threshold=0.3), TextPrompt("mug")).after_frame()
    query = query_of(schedule)
    assert query is not None
    assert query.thresholds == {"cup": 0.3, "pen": 0.3, "mug": 0.4}


def test_more_phrases_than_the_detector_reads_are_detected_in_turn() -> None:
    """Each prompt fits alone, but all prompts together do not. Every phrase must still be detected regularly."""
    prompts = [TextPrompt(name) for name in ("cup", "box. pen", "key", "mug", "hat")]
    queries = run(scheduled(*prompts), 12, interval=2, limit=2)[1]
    assert all(len(phrases) <= 2 for phrases in queries)
    for phrase in ("cup", "box", "pen", "key", "mug", "hat"):
        frames = frames_of(queries, phrase)
        assert max(later - earlier for earlier, later in zip([0, *frames], [*frames, 13])) <= 6


def test_new_prompts_come_first_then_the_oldest_detections() -> None:
    schedule = scheduled(TextPrompt("cup"), TextPrompt("pen", interval=1))
    schedule, _ = run(schedule, 3, interval=10)
    handle = PromptHandle(TextPrompt("mug", "once"))
    for _ in range(10):
        schedule = schedule.after_frame()
    later, query = schedule.next_query(LimitedDetector(2), prompts_of([handle]), 10)
    assert query is not None
    assert tuple(query.thresholds) == ("mug", "cup")
    assert dict(later.frames_since_detection) == {1: 0, 2: 10}, "the remaining prompt stays due"


def test_prompt_that_the_detector_cannot_read_alone_is_not_postponed_forever() -> None:
    """The detector may have shrunk since the prompt was given. Its error then reaches the user."""
    assert frames_of(run(scheduled(TextPrompt("cup. pen. mug")), 2, interval=1, limit=2)[1], "mug") == [1, 2]


def test_detect_now_makes_all_prompts_due_once() -> None:
    """After a scene cut, all objects must be found again."""
    schedule = replace(scheduled(TextPrompt("cup", interval=50), TextPrompt("pen")), detect_now=True)
    schedule, queries = run(schedule, 3)
    assert queries == [("cup", "pen"), (), ()]
    assert not schedule.detect_now


def test_phrases_are_those_of_all_prompts_without_repeats() -> None:
    assert scheduled(TextPrompt("cup. pen"), TextPrompt("pen. mug")).phrases == ("cup", "pen", "mug")


def test_replaced_prompt_keeps_its_id_and_waits_its_interval() -> None:
    """The handle of the new prompt brings its first detection. The other prompts keep their turn."""
    schedule, _ = run(scheduled(TextPrompt("cup"), TextPrompt("pen")), 3)
    schedule, prompt_id = schedule.added(TextPrompt("mug"), 1)
    assert prompt_id == 1
    assert schedule.phrases == ("mug", "pen")
    assert dict(schedule.frames_since_detection) == {1: 0, 2: 3}
    assert schedule.added(TextPrompt("hat"), 0)[1] == 3


def test_ids_are_never_given_twice() -> None:
    """A client may still hold the id of a removed prompt."""
    schedule = scheduled(TextPrompt("cup"), TextPrompt("pen")).removed(2)
    assert schedule.phrases == ("cup",)
    schedule, prompt_id = schedule.added(TextPrompt("mug"), 0)
    assert prompt_id == 3
    cleared = schedule.cleared()
    assert (dict(cleared.prompts), dict(cleared.frames_since_detection), cleared.detect_now) == ({}, {}, False)
    assert cleared.added(TextPrompt("hat"), 0)[1] == 4


def test_unknown_id_is_refused_with_the_active_ids() -> None:
    schedule = scheduled(TextPrompt("cup"), TextPrompt("pen"))
    with pytest.raises(PromptError, match=r"no text prompt 99: use the id of an active text or exemplar prompt \(1, 2\)"):
        schedule.removed(99)
    with pytest.raises(PromptError, match="no text prompt 7"):
        schedule.added(TextPrompt("mug"), 7)
    with pytest.raises(PromptError, match=r"\(none\)"):
        DetectionSchedule().removed(1)


def test_number_of_prompts_is_limited() -> None:
    schedule = scheduled(*[TextPrompt(f"cup {index}") for index in range(MAX_PROMPTS)])
    with pytest.raises(PromptError, match=f"{MAX_PROMPTS} text and exemplar prompts are active"):
        schedule.added(TextPrompt("pen"), 0)
    assert schedule.added(TextPrompt("pen"), 1)[1] == 1, "a replacement is always allowed"


def test_schedule_is_a_value() -> None:
    """A frame that fails keeps the schedule from before it."""
    schedule = scheduled(TextPrompt("cup", interval=1)).after_frame()
    before = deepcopy(schedule)
    query_of(schedule)
    schedule.added(TextPrompt("pen"), 0)
    schedule.removed(1)
    schedule.after_frame()
    assert schedule == before
