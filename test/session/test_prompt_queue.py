# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A prompt waits, is tried a limited number of times, and gets exactly one outcome."""

from __future__ import annotations

import pytest

from lang2segtrack_ros.session.prompt_queue import MAX_ATTEMPTS, PromptEntry, PromptQueue
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, TextPrompt

BOX = BoxPrompt((0, 0, 9, 9))
TEXT = TextPrompt("red circle.")


def queue(*handles: PromptHandle) -> PromptQueue:
    """Return a queue to which these prompts were added."""
    result = PromptQueue()
    for handle in handles:
        result = result.added(handle)
    return result


def statuses(prompts: PromptQueue) -> list[PromptStatus]:
    return [entry.status for entry in prompts]


def test_prompts_keep_their_order() -> None:
    handles = [PromptHandle(BOX), PromptHandle(TEXT), PromptHandle(BOX)]
    prompts = queue(*handles)
    assert len(prompts) == 3
    assert [entry.handle for entry in prompts] == handles
    assert [entry.is_direct for entry in prompts] == [True, False, True]
    assert statuses(prompts) == [PromptStatus.QUEUED] * 3


def test_equal_prompts_are_separate_entries() -> None:
    """Two clients may send the same prompt, and each gets an outcome."""
    one, other = PromptHandle(BOX), PromptHandle(BOX)
    prompts = queue(one, other).applied({one: PromptOutcome((1,), ("cup",))})
    assert statuses(prompts) == [PromptStatus.APPLIED, PromptStatus.QUEUED]


def test_prompts_of_a_dropped_detection_wait_again() -> None:
    one, other, box = PromptHandle(TEXT), PromptHandle(TEXT), PromptHandle(BOX)
    prompts = queue(one, other, box).marked([one], PromptStatus.DETECTING)
    assert prompts.with_status(PromptStatus.DETECTING) == (PromptEntry(one, PromptStatus.DETECTING),)
    assert statuses(prompts.requeued(PromptStatus.DETECTING)) == [PromptStatus.QUEUED] * 3


def test_requeued_prompts_keep_their_failures_and_their_outcomes() -> None:
    tried, refused = PromptHandle(TEXT), PromptHandle(TEXT)
    prompts = queue(tried, refused).mapped(
        lambda entry: entry.handle is tried, lambda entry: entry.failed_attempt(OSError("x"), "the image")
    )
    prompts = prompts.refused("no", lambda entry: entry.handle is refused).requeued(PromptStatus.DETECTING)
    assert [(entry.status, entry.failures) for entry in prompts] == [(PromptStatus.QUEUED, 1), (PromptStatus.FAILED, 0)]


@pytest.mark.parametrize(("prompt_id", "ending"), [(0, ""), (4, "; detection continues")])
def test_prompt_fails_after_the_last_attempt(prompt_id: int, ending: str) -> None:
    """One prompt that fails every frame must not end the stream. A continuous prompt goes on, and only its first outcome fails."""
    entry = PromptEntry(PromptHandle(TEXT, prompt_id), PromptStatus.DETECTING)
    for attempt in range(1, MAX_ATTEMPTS):
        entry = entry.failed_attempt(RuntimeError("no memory"), "the detector")
        assert (entry.status, entry.failures, entry.outcome) == (PromptStatus.QUEUED, attempt, None)
    entry = entry.failed_attempt(RuntimeError("no memory"), "the detector")
    reason = f"the detector failed {MAX_ATTEMPTS} times, the last time with RuntimeError: no memory{ending}"
    assert (entry.status, entry.outcome) == (PromptStatus.FAILED, PromptOutcome(error=reason))


def test_outcome_keeps_the_notes_of_the_handle_first() -> None:
    entry = PromptEntry(PromptHandle(TEXT, notes=("unknown word",))).applied(PromptOutcome((1,), ("cup",), notes=("not found",)))
    assert entry.outcome == PromptOutcome((1,), ("cup",), notes=("unknown word", "not found"))
    assert entry.status is PromptStatus.APPLIED


def test_finished_prompts_leave_the_queue() -> None:
    applied, refused, waiting = PromptHandle(BOX), PromptHandle(BOX), PromptHandle(TEXT)
    prompts = queue(applied, refused, waiting).applied({applied: PromptOutcome((1,), ("",))})
    prompts = prompts.refused("no", lambda entry: entry.handle is refused)
    assert prompts.finished == {applied: PromptOutcome((1,), ("",)), refused: PromptOutcome(error="no")}
    assert statuses(prompts) == [PromptStatus.APPLIED, PromptStatus.FAILED, PromptStatus.QUEUED]
    assert [entry.handle for entry in prompts.without(prompts.finished)] == [waiting]


def test_refusal_without_a_condition_refuses_all() -> None:
    prompts = queue(PromptHandle(BOX), PromptHandle(TEXT)).refused("the session was reset")
    assert [entry.outcome for entry in prompts] == [PromptOutcome(error="the session was reset")] * 2


def test_queue_is_a_value() -> None:
    """A frame that fails keeps the queue from before it, and no future is resolved."""
    handle = PromptHandle(TEXT)
    before = queue(handle)
    before.marked([handle], PromptStatus.DETECTING)
    before.refused("no")
    before.applied({handle: PromptOutcome((1,), ("cup",))})
    before.mapped(lambda _: True, lambda entry: entry.failed_attempt(OSError("x"), "the image"))
    assert before == queue(handle)
    assert not handle.done
    assert handle.status is PromptStatus.QUEUED
