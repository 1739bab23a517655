# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The second stage starts and corrects objects by box, point and mask prompts."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.track_state import Origin, Verification
from lang2segtrack_ros.session.actions import Correct, Spawn
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.apply_prompts import MAX_PROMPTS_PER_FRAME, apply_prompts
from lang2segtrack_ros.tracking.open_frame import PromptPrediction
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import BoxPrompt, MaskPrompt, ObjectPrompt, PointPrompt, TextPrompt
from test.identity.synthetic import RED, detected, picture, prompted, track
from test.session.stages.builders import (
    RectanglePredictor,
    boxed,
    context_of,
    modeled,
    outcomes,
    predicted,
    queue_of,
    rectangle,
    state_of,
    summary,
    without_finished,
)

BOX = (60.0, 5.0, 90.0, 35.0)
FAR = (5.0, 5.0, 25.0, 25.0)


def applied(track_id: int, label: str) -> PromptOutcome:
    """Return the outcome of a prompt for one object, with the certainty of the predictor."""
    return PromptOutcome((track_id,), (label,), scores=(float(np.float32(0.9)),))


@pytest.mark.parametrize(
    "prompt",
    [BoxPrompt(BOX, "cup"), PointPrompt([(75, 20)], label="cup"), MaskPrompt(rectangle(*BOX), "cup")],
    ids=["box", "points", "mask"],
)
def test_prompt_starts_a_confirmed_object(prompt: ObjectPrompt) -> None:
    state, actions = apply_prompts(state_of(prompted(4), prompts=queue_of(prompt)), context_of(boxed(4, FAR, "mine")))
    assert summary(actions) == [("Spawn", 5)]
    assert state.next_track_id == 6
    assert (state.tracks[5].label, state.tracks[5].origin, state.tracks[5].confirmed) == ("cup", Origin.PROMPT, True)
    assert outcomes(state) == [applied(5, "cup")]
    assert [entry.status for entry in state.prompts] == [PromptStatus.APPLIED]


def test_prompt_with_an_id_corrects_that_object() -> None:
    """The correction names the object, whatever its mask is now. A prompt without a name keeps the name of the object."""
    state, actions = apply_prompts(state_of(prompted(1), prompts=queue_of(BoxPrompt(BOX, track_id=1))), context_of(boxed(1, None, "mine")))
    assert summary(actions) == [("Correct", 1)]
    assert isinstance(actions[0], Correct)
    assert actions[0].predicted.prompt == BoxPrompt(BOX, track_id=1)
    assert outcomes(state) == [applied(1, "mine")]
    assert state.next_track_id == 2


def test_prompt_of_a_user_overrides_what_is_known_of_an_object() -> None:
    """It confirms and verifies the object. Color and motion from before may be those of another object."""
    before = modeled(replace(detected(1), verification=Verification.NEEDS_REDETECTION, unseen_ns=5), [(0, track(1), picture(RED))])
    state, _ = apply_prompts(
        state_of(
            before,
            detected(2),
            detected(3),
            prompts=queue_of(BoxPrompt(BOX, "mug", 1)),
            crossings={(1, 2): Crossing(1, True), (2, 3): Crossing(1, True)},
        ),
        context_of(track(1), track(2, 80), track(3, 40)),
    )
    after = state.tracks[1]
    assert (after.confirmed, after.verification, after.unseen_ns, after.label) == (True, Verification.VERIFIED, 0, "mug")
    assert after.model is None
    assert list(state.crossings) == [(2, 3)]
    assert after.origin is Origin.DETECTION, "detections still count for the object"


@pytest.mark.parametrize("name", ["red circle", " Red  Circle", ""])
def test_prompt_on_a_tracked_object_corrects_it(name: str) -> None:
    """The names are compared as text prompts compare them. An object with a name keeps it."""
    box = (10.0, 5.0, 20.0, 15.0)
    state, actions = apply_prompts(state_of(detected(1), prompts=queue_of(BoxPrompt(box, name))), context_of(track(1)))
    assert summary(actions) == [("Correct", 1)]
    assert isinstance(actions[0], Correct)
    assert actions[0].predicted.prompt.track_id == 1, "the correction uses the memories of the object"
    assert state.tracks[1].label == "red circle"
    assert state.tracks[1].confirmed


def test_prompt_with_another_name_on_a_tracked_object_starts_an_object() -> None:
    """The track may be on the wrong object."""
    box = (10.0, 5.0, 20.0, 15.0)
    state, actions = apply_prompts(state_of(detected(1), prompts=queue_of(BoxPrompt(box, "blue star"))), context_of(track(1)))
    assert summary(actions) == [("Spawn", 2)]
    assert not state.tracks[1].confirmed


def test_prompt_names_an_object_without_a_name() -> None:
    box = (10.0, 5.0, 20.0, 15.0)
    before = state_of(prompted(1, ""), prompts=queue_of(BoxPrompt(box, "cup")))
    state, _ = apply_prompts(before, context_of(track(1, label="")))
    assert outcomes(state) == [applied(1, "cup")]
    assert state.tracks[1].label == "cup"


def test_second_prompt_for_one_object_on_a_frame_only_adds_the_name() -> None:
    queue = queue_of(BoxPrompt(BOX), BoxPrompt(BOX, "cup"), BoxPrompt(BOX, "mug"))
    state, actions = apply_prompts(state_of(prompts=queue), context_of())
    assert summary(actions) == [("Spawn", 1), ("Spawn", 2)], "a third prompt with another name is another object"
    assert outcomes(state) == [
        applied(1, ""),
        applied(1, "cup"),
        applied(2, "mug"),
    ]
    assert state.tracks[1].label == "cup"


def test_two_objects_on_one_frame_stay_separate() -> None:
    state, actions = apply_prompts(state_of(prompts=queue_of(BoxPrompt(BOX), BoxPrompt(FAR))), context_of())
    assert summary(actions) == [("Spawn", 1), ("Spawn", 2)]
    assert outcomes(state) == [applied(1, ""), applied(2, "")]


def test_second_correction_of_an_object_waits_for_the_next_frame() -> None:
    """It builds on the mask of the first correction. Prompts for other objects do not wait."""
    queue = queue_of(BoxPrompt(BOX, track_id=1), BoxPrompt(FAR, track_id=1), BoxPrompt(FAR, "cup"))
    state, actions = apply_prompts(state_of(prompted(1), prompts=queue), context_of(boxed(1, BOX, "mine")))
    assert summary(actions) == [("Correct", 1), ("Spawn", 2)]
    assert [entry.status for entry in state.prompts] == [PromptStatus.APPLIED, PromptStatus.QUEUED, PromptStatus.APPLIED]
    state, actions = apply_prompts(without_finished(state), context_of(boxed(1, BOX, "mine"), boxed(2, FAR, "cup")))
    assert summary(actions) == [("Correct", 1)]
    assert outcomes(state) == [applied(1, "mine")]


def test_prompts_above_the_limit_of_a_frame_wait() -> None:
    """One frame must not take seconds. The prompts keep their order."""
    prompts = [BoxPrompt((3 * index, 0, 3 * index + 3, 10), f"object {index}") for index in range(MAX_PROMPTS_PER_FRAME + 2)]
    options = SessionOptions(max_objects=100)
    state, actions = apply_prompts(state_of(prompts=queue_of(*prompts)), context_of(options=options))
    assert len(actions) == MAX_PROMPTS_PER_FRAME
    assert [entry.handle.prompt for entry in state.prompts.with_status(PromptStatus.QUEUED)] == prompts[MAX_PROMPTS_PER_FRAME:]
    state, actions = apply_prompts(without_finished(state), context_of(options=options))
    assert [state.tracks[action.track_id].label for action in actions if isinstance(action, Spawn)] == ["object 32", "object 33"]


def test_object_above_the_limit_is_refused_but_a_correction_is_not() -> None:
    queue = queue_of(BoxPrompt(BOX, "cup"), BoxPrompt(FAR, track_id=1))
    state, actions = apply_prompts(
        state_of(prompted(1), prompts=queue), context_of(boxed(1, FAR, "mine"), options=SessionOptions(max_objects=1))
    )
    refused, corrected = outcomes(state)
    assert refused == PromptOutcome(error="1 objects are tracked already, which is the maximum: remove one first")
    assert corrected == applied(1, "mine")
    assert summary(actions) == [("Correct", 1)]
    assert [entry.status for entry in state.prompts] == [PromptStatus.FAILED, PromptStatus.APPLIED]
    assert state.next_track_id == 2, "a refused object takes no id"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (BoxPrompt((500, 5, 600, 15)), "lies outside the 120 x 40 image"),
        (PointPrompt([(500, 5)]), "lies off the 120 x 40 image"),
        (MaskPrompt(rectangle(0, 0, 5, 5, (20, 20))), "make the sizes equal"),
        (BoxPrompt(BOX, track_id=99), "there is no track 99; tracked now: 1"),
        (BoxPrompt(FAR), "the network returned NaN or infinity"),
    ],
    ids=["box", "points", "mask", "unknown_id", "network"],
)
def test_refused_prompt_leaves_the_other_prompts_valid(prompt: ObjectPrompt, reason: str) -> None:
    before = state_of(prompted(1), prompts=queue_of(prompt, BoxPrompt(BOX, "cup")))
    state, actions = apply_prompts(before, context_of(boxed(1, None, "mine"), masks=RectanglePredictor([1], refused=[FAR])))
    refused, outcome = outcomes(state)
    assert refused is not None
    assert reason in refused.error
    assert outcome == applied(2, "cup")
    assert summary(actions) == [("Spawn", 2)]
    assert state.tracks[1] == before.tracks[1]


def test_outcome_keeps_the_notes_of_the_handle() -> None:
    state, _ = apply_prompts(state_of(prompts=queue_of(PromptHandle(BoxPrompt(BOX), notes=("a note",)))), context_of())
    assert outcomes(state) == [replace(applied(1, ""), notes=("a note",))]


def test_text_prompts_wait_for_the_detector() -> None:
    before = state_of(prompts=queue_of(TextPrompt("red circle.")))
    assert apply_prompts(before, context_of()) == (before, [])


def test_prompts_that_are_detecting_or_finished_are_not_applied_again() -> None:
    before = state_of(prompts=queue_of(BoxPrompt(BOX), status=PromptStatus.APPLIED))
    assert apply_prompts(before, context_of()) == (before, [])


class MovedPredictor(RectanglePredictor):
    """A predictor whose masks lie `pixels` to the right of the prompt, as on empty background. None gives empty masks."""

    def __init__(self, pixels: int | None, known: tuple[int, ...] = ()) -> None:
        super().__init__(known)
        self.pixels = pixels

    def predict(self, prompt: ObjectPrompt) -> PromptPrediction:
        if self.pixels is None:
            return predicted(prompt, np.zeros(self.size, bool), 0.05)
        mask = self.mask_of(super().predict(prompt))
        return predicted(prompt, np.roll(mask, self.pixels, axis=1), 0.4)


@pytest.mark.parametrize(
    "prompt",
    [BoxPrompt(FAR, "cup"), PointPrompt([(15, 15)]), PointPrompt([(15, 15)], track_id=1), BoxPrompt(FAR, track_id=1)],
    ids=["box", "points", "point_correction", "box_correction"],
)
@pytest.mark.parametrize(
    ("pixels", "reason"),
    [(None, "(score 0.05): its mask is empty"), (40, r"\(score 0.40\): the nearest mask lies \d+ pixels away")],
    ids=["empty", "elsewhere"],
)
def test_prompt_on_empty_background_is_refused(prompt: ObjectPrompt, pixels: int | None, reason: str) -> None:
    """A track without an object would stay for ever, or jump to another object. A correction would spoil a good track."""
    before = state_of(prompted(1), prompts=queue_of(prompt))
    state, actions = apply_prompts(before, context_of(boxed(1, BOX, "mine"), masks=MovedPredictor(pixels, (1,))))
    assert actions == []
    (outcome,) = outcomes(state)
    assert outcome is not None
    assert re.search(reason if pixels else re.escape(reason), outcome.error), outcome.error
    assert state.tracks == before.tracks
    assert state.next_track_id == 2, "a refused prompt takes no id"


@pytest.mark.parametrize(
    ("prompt", "pixels", "reach"),
    [
        (PointPrompt([(15, 15)]), 7, 0.02),  # a click at the edge of an object; its mask starts 2 pixels beside it
        (PointPrompt([(40, 15), (90, 15)], label="cup"), 50, 0.02),  # the mask covers only the second point
        (PointPrompt([(15, 15)]), 40, 1.0),  # the user accepts every mask
        (PointPrompt([(15, 15)], [0], track_id=1), None, 0.02),  # a point off the object may hide it
        (MaskPrompt(rectangle(*FAR)), None, 0.0),  # the user draws the mask
    ],
    ids=["edge", "second_point", "any_reach", "off_the_object", "mask"],
)
def test_prompt_near_its_mask_is_applied(prompt: ObjectPrompt, pixels: int | None, reach: float) -> None:
    """A correct prompt must never be refused."""
    context = context_of(boxed(1, BOX, "mine"), masks=MovedPredictor(pixels, (1,)), options=SessionOptions(prompt_reach=reach))
    state, actions = apply_prompts(state_of(prompted(1), prompts=queue_of(prompt)), context)
    assert len(actions) == 1, outcomes(state)


def test_second_click_on_a_pixel_corrects_the_same_object() -> None:
    """The mask of the track may differ from the mask of the click alone, so that their IoU is too low to find the object."""
    click = PointPrompt([(75.2, 20.1)])
    state, _ = apply_prompts(state_of(prompts=queue_of(PointPrompt([(75, 20)]))), context_of())
    grown = boxed(1, (45.0, 0.0, 100.0, 40.0), "")
    after, actions = apply_prompts(replace(without_finished(state), prompts=queue_of(click)), context_of(grown))
    assert summary(actions) == [("Correct", 1)]
    assert outcomes(after) == [applied(1, "")]
    gone = boxed(1, FAR, "")
    _, actions = apply_prompts(replace(without_finished(state), prompts=queue_of(click)), context_of(gone))
    assert summary(actions) == [("Spawn", 2)], "the object has left this pixel"
