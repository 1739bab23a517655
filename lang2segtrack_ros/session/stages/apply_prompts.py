# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2: start and correct objects by box, point and mask prompts, and give exemplar prompts their image.

A prompt on a tracked object corrects that object. A prompt with another name starts a new object, because the track may be on the wrong
object. A click or box on empty background is refused: its mask is empty, or lies elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import find_duplicate
from lang2segtrack_ros.identity.crossings import without
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.actions import Action, Correct, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.prompt_queue import PromptEntry
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction, TrackerError
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import (
    BoxPrompt,
    ExemplarPrompt,
    MaskPrompt,
    ObjectPrompt,
    PointPrompt,
    PromptError,
    plain_name,
)

MAX_PROMPTS_PER_FRAME = 32
"""Maximum number of prompts that one frame applies. More prompts wait for the next frames."""
SAME_MASK_IOU = 0.7
"""IoU above which the mask of a new prompt counts as a mask of an object that is already tracked."""


def apply_prompts(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Apply the waiting box, point and mask prompts. An object takes one correction on a frame; others wait for the next frame.

    Exemplar prompts without an image take that of the frame. Their detection follows when the detector is idle.
    """
    queued = state.prompts.with_status(PromptStatus.QUEUED)
    for entry in queued:
        if isinstance(entry.prompt, ExemplarPrompt) and entry.prompt.image is None:
            state = _with_image(state, entry.handle, entry.prompt, context.color)
    waiting = [entry for entry in queued if entry.is_direct]
    if not waiting:
        return state, []
    prompts = _Prompts(state, context)
    for entry in waiting[:MAX_PROMPTS_PER_FRAME]:
        prompts.apply(entry)
    state = prompts.state
    return replace(state, prompts=state.prompts.applied(prompts.outcomes)), list(prompts.actions.values())


def _with_image(state: SessionState, handle: PromptHandle, prompt: ExemplarPrompt, color: NDArray[np.uint8]) -> SessionState:
    """Return the state in which an exemplar prompt has the image of the frame, or is refused if its box lies outside the image."""
    try:
        prompt = prompt.on(color.copy())
    except PromptError as error:
        removed = state.schedule.removed(handle.prompt_id) if handle.prompt_id else state.schedule
        return replace(state, schedule=removed, prompts=state.prompts.applied({handle: PromptOutcome(error=str(error))}))
    prompts = state.prompts.mapped(lambda entry: entry.handle is handle, lambda entry: replace(entry, exemplar=prompt))
    return replace(state, schedule=state.schedule.with_exemplar(prompt, handle.prompt_id), prompts=prompts)


@dataclass
class _Prompts:
    """The prompts of one frame.

    Attributes:
        state: the state with the objects of the prompts.
        context: the frame.
        actions: the action on each prompted object, by id.
        started: masks of the objects that prompts have started, by id.
        outcomes: outcomes of the prompts.
    """

    state: SessionState
    context: FrameContext
    actions: dict[int, Spawn | Correct] = field(default_factory=dict)
    started: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    outcomes: dict[PromptHandle, PromptOutcome] = field(default_factory=dict)

    def apply(self, entry: PromptEntry) -> None:
        """Apply one prompt, refuse it, or leave it for the next frame."""
        prompt = entry.handle.prompt
        assert isinstance(prompt, (BoxPrompt, PointPrompt, MaskPrompt))
        if prompt.track_id in self.actions:  # a second correction builds on the mask of the first
            return
        try:
            track_id = self._correct(prompt, prompt.track_id) if prompt.track_id is not None else self._start(prompt)
        except (PromptError, TrackerError) as error:
            self.outcomes[entry.handle] = PromptOutcome(error=str(error))
            return
        score = _score(self.actions[track_id].predicted)
        self.outcomes[entry.handle] = PromptOutcome((track_id,), (self.state.tracks[track_id].label,), scores=(score,))

    def _predict(self, prompt: ObjectPrompt) -> tuple[PromptPrediction, NDArray[np.bool_]]:
        """Predict the mask of a prompt. Raise PromptError if nothing stands out there."""
        predicted = self.context.masks.predict(prompt)
        mask = self.context.masks.mask_of(predicted)
        distance = _distance(predicted.prompt, mask)
        if distance > self._reach:
            reason = f"the nearest mask lies {distance:.0f} pixels away" if mask.any() else "its mask is empty"
            raise PromptError(
                f"nothing stands out there (score {_score(predicted):.2f}): {reason}; click on the object, or draw a box around it"
            )
        return predicted, mask

    @property
    def _reach(self) -> float:
        """Return the maximum distance from a prompt to its mask in pixels. An empty mask is always beyond it."""
        longer_side: int = max(self.context.color.shape[:2])
        return self.context.options.prompt_reach * longer_side

    def _correct(self, prompt: ObjectPrompt, track_id: int) -> int:
        """Correct an object by a prompt that names its id."""
        self.actions[track_id] = Correct(track_id, self._predict(prompt)[0])
        self._confirm(track_id, prompt)
        return track_id

    def _start(self, prompt: ObjectPrompt) -> int:
        """Start an object, or correct the object that already has the clicked pixel or the mask of the prompt. Return its id."""
        masks = {key: track.mask for key, track in self.context.visible.items()} | self.started
        candidates = {key: other for key, other in masks.items() if _names_match(self.state.tracks[key].label, prompt.label)}
        track_id = self._clicked_before(prompt, candidates)
        if track_id is None:
            predicted, mask = self._predict(prompt)
            track_id = find_duplicate(mask, candidates, SAME_MASK_IOU)
            if track_id is None:
                check_capacity(self.state, self.context)
                self.state, track_id = self.state.spawned(prompt.label, Origin.PROMPT, confirmed=True)
                self.actions[track_id] = Spawn(track_id, predicted)
                self.started[track_id] = mask
        if track_id not in self.actions:
            self.actions[track_id] = Correct(track_id, self._predict(replace(prompt, track_id=track_id))[0])
        name = self.state.tracks[track_id].label or prompt.label  # a second prompt for one object on this frame only adds the name
        self._confirm(track_id, replace(prompt, label=name))
        return track_id

    def _clicked_before(self, prompt: ObjectPrompt, candidates: Mapping[int, NDArray[np.bool_]]) -> int | None:
        """Return the candidate that a click on the same pixel has started or corrected, and that is still there."""
        if not isinstance(prompt, PointPrompt):
            return None
        fitted = prompt.check_fits(*self.context.color.shape[:2])
        same = [key for key in candidates if fitted.pixels & self.state.tracks[key].clicked]
        return next((key for key in same if _distance(fitted, candidates[key]) <= self._reach), None)

    def _confirm(self, track_id: int, prompt: ObjectPrompt) -> None:
        """Confirm an object that a prompt of the user points at. The prompt overrides its color and motion models."""
        track = self.state.tracks[track_id].verified()
        clicked = prompt.pixels if isinstance(prompt, PointPrompt) else track.clicked
        track = replace(track, confirmed=True, label=prompt.label or track.label, clicked=clicked, model=None)
        self.state = replace(self.state.with_track(track), crossings=without(self.state.crossings, track_id))


def check_capacity(state: SessionState, context: FrameContext) -> None:
    """Raise TrackerError if the session has no capacity for one more object."""
    limit = context.options.max_objects
    if len(state.tracks) >= limit:
        raise TrackerError(f"{limit} objects are tracked already, which is the maximum: remove one first")


def _score(predicted: PromptPrediction) -> float:
    """Return the predicted IoU of a mask, 0..1."""
    return min(max(float(predicted.prediction.iou[0]), 0.0), 1.0)


def _distance(prompt: ObjectPrompt, mask: NDArray[np.bool_]) -> float:
    """Return the distance from a box, or from the nearest pixel on the object, to a mask bool [H, W] in pixels.

    The distance is infinite for an empty mask. It is 0 for a prompt that names no place of the object: a mask, or points off the object.
    """
    if isinstance(prompt, MaskPrompt) or (isinstance(prompt, PointPrompt) and not prompt.pixels):
        return 0.0
    if not mask.any():
        return float("inf")
    distances = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    if isinstance(prompt, BoxPrompt):
        x1, y1, x2, y2 = prompt.box
        return float(distances[math.floor(y1) : math.ceil(y2), math.floor(x1) : math.ceil(x2)].min())
    return float(min(distances[y, x] for x, y in prompt.pixels))


def _names_match(one: str, other: str) -> bool:
    """Return True if two names can belong to one object: the names are equal, or one of them is empty."""
    first, second = plain_name(one), plain_name(other)
    return not first or not second or first == second
