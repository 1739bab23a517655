# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A text prompt is answered with its objects, with the phrases that were not found, or with an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.stages.associate import associate
from lang2segtrack_ros.tracking.open_frame import PromptPrediction
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import ObjectPrompt, TextPrompt
from test.identity.synthetic import detected, prompted
from test.session.stages.builders import (
    RectanglePredictor,
    boxed,
    context_of,
    detecting,
    detection_of,
    outcomes,
    predicted,
    queue_of,
    state_of,
)

BOX = (60.0, 5.0, 90.0, 35.0)
FAR = (5.0, 5.0, 25.0, 25.0)
CIRCLE = Detection("red circle", 0.9, BOX)
TEXT = TextPrompt("red circle.")


def test_object_found_under_two_names_is_missing_under_neither() -> None:
    """Both boxes are on one object. The answer must not depend on their order."""
    star = Detection("blue star", 0.8, (60, 5, 80, 35))
    for found in ((CIRCLE, star), (star, CIRCLE)):
        before = replace(detecting(TextPrompt("red circle. blue star.")), tracks={1: detected(1, confirmed=True)}, next_track_id=2)
        state, actions = associate(before, detection_of(context_of(boxed(1, BOX)), *found, phrases=("red circle", "blue star")))
        assert actions == []
        assert outcomes(state) == [PromptOutcome((1,), ("red circle",))]


def test_text_prompt_is_answered_with_its_objects() -> None:
    star = Detection("blue star", 0.9, FAR)
    state, _ = associate(
        detecting(TextPrompt("red circle. blue star."), TextPrompt("blue star.")),
        detection_of(context_of(), CIRCLE, star, phrases=("red circle", "blue star")),
    )
    both, one = outcomes(state)
    assert both == PromptOutcome((1, 2), ("red circle", "blue star"))
    assert one == PromptOutcome((2,), ("blue star",))
    assert [entry.status for entry in state.prompts] == [PromptStatus.APPLIED] * 2


def test_only_prompts_of_this_detection_are_answered() -> None:
    state = state_of(prompts=queue_of(TEXT))
    assert outcomes(associate(state, detection_of(context_of(), CIRCLE))[0]) == [None]


@pytest.mark.parametrize(
    ("mode", "interval", "suffix"),
    [
        ("once", None, ""),
        ("continuous", None, "; the detector looks again every 5 images"),
        ("continuous", 30, "; the detector looks again every 30 images"),
        ("continuous", 1, "; the detector looks again on every image"),
    ],
)
def test_answer_names_the_missing_phrases(mode: Literal["once", "continuous"], interval: int | None, suffix: str) -> None:
    """The user must know whether to wait or to send another prompt."""
    prompt = TextPrompt("red circle. blue star. green cross.", mode, interval=interval)
    handle = PromptHandle(prompt, notes=("the detector does not know: cross",))
    state, _ = associate(detecting(handle), detection_of(context_of(), CIRCLE, phrases=prompt.phrases))
    note = f"not found on this image: blue star, green cross{suffix}"
    assert outcomes(state) == [PromptOutcome((1,), ("red circle",), notes=("the detector does not know: cross", note))]


def test_answer_without_objects_names_the_error() -> None:
    masks = RectanglePredictor(refused=[BOX])
    state, actions = associate(detecting(TEXT), detection_of(context_of(masks=masks), CIRCLE))
    assert actions == []
    (entry,) = state.prompts
    assert entry.status is PromptStatus.FAILED
    assert entry.outcome is not None
    assert "the network returned NaN or infinity" in entry.outcome.error
    assert entry.outcome.notes == ("not found on this image: red circle; the detector looks again every 5 images",)


def test_answer_at_the_object_limit_names_the_limit() -> None:
    context = detection_of(context_of(boxed(1, FAR, "mine"), options=SessionOptions(max_objects=1)), CIRCLE)
    state, _ = associate(replace(detecting(TEXT), tracks={1: prompted(1)}, next_track_id=2), context)
    (outcome,) = outcomes(state)
    assert outcome is not None
    assert outcome.error.startswith("1 objects are tracked already")


def test_answer_with_the_label_of_an_existing_track() -> None:
    """A box prompt and a text prompt on one image give one object."""
    context = detection_of(context_of(boxed(1, BOX, "mine"), prompted=frozenset({1})), CIRCLE)
    state, actions = associate(replace(detecting(TEXT), tracks={1: prompted(1)}, next_track_id=2), context)
    assert actions == []
    assert outcomes(state) == [PromptOutcome((1,), ("mine",))]


def test_once_prompt_confirms_its_objects() -> None:
    """No later detection counts hits or misses for them."""
    state, _ = associate(detecting(TextPrompt("red circle.", "once"), TextPrompt("blue star.")), detection_of(context_of(), CIRCLE))
    assert (state.tracks[1].confirmed, state.tracks[1].origin) == (True, Origin.PROMPT)
    assert associate(detecting(TEXT), detection_of(context_of(), CIRCLE))[0].tracks[1].origin is Origin.DETECTION


class EmptyPredictor(RectanglePredictor):
    """A predictor whose masks are all empty."""

    def predict(self, prompt: ObjectPrompt) -> PromptPrediction:
        return predicted(prompt, np.zeros(self.size, bool), 0.1)


def test_once_prompt_with_an_empty_mask_starts_no_object() -> None:
    """Nothing could ever show or remove the object. A continuous prompt starts a tentative one, which later detections confirm or end."""
    context = detection_of(context_of(masks=EmptyPredictor(), options=SessionOptions(min_hits=1)), CIRCLE)
    state, actions = associate(detecting(TextPrompt("red circle.", "once")), context)
    assert actions == []
    (outcome,) = outcomes(state)
    assert outcome is not None
    assert outcome.error.startswith('the mask of "red circle" is empty (score ')
    before = detecting(TEXT)
    schedule, _ = before.schedule.added(TEXT, 0)
    state, _ = associate(replace(before, schedule=schedule), context)
    assert [track.confirmed for track in state.tracks.values()] == [False]
