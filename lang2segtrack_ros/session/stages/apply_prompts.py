# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 2: start and correct objects by box, point and mask prompts.

A prompt on a tracked object corrects that object. A prompt with another name starts a new object, because the track may be on the wrong
object.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import find_duplicate
from lang2segtrack_ros.identity.crossings import without
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.actions import Action, Correct, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.prompt_queue import PromptEntry
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.types.prompt_handle import PromptHandle, PromptOutcome, PromptStatus
from lang2segtrack_ros.types.prompts import ObjectPrompt, PromptError, TextPrompt, plain_name

MAX_PROMPTS_PER_FRAME = 32
"""Maximum number of prompts that one frame applies. More prompts wait for the next frames."""
SAME_MASK_IOU = 0.7
"""IoU above which the mask of a new prompt counts as a mask of an object that is already tracked."""


def apply_prompts(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Apply the waiting box, point and mask prompts. An object takes one correction on a frame; others wait for the next frame."""
    waiting = [entry for entry in state.prompts.with_status(PromptStatus.QUEUED) if not entry.is_text]
    if not waiting:
        return state, []
    prompts = _Prompts(state, context)
    for entry in waiting[:MAX_PROMPTS_PER_FRAME]:
        prompts.apply(entry)
    state = prompts.state
    return replace(state, prompts=state.prompts.applied(prompts.outcomes)), list(prompts.actions.values())


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
    actions: dict[int, Action] = field(default_factory=dict)
    started: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    outcomes: dict[PromptHandle, PromptOutcome] = field(default_factory=dict)

    def apply(self, entry: PromptEntry) -> None:
        """Apply one prompt, refuse it, or leave it for the next frame."""
        prompt = entry.handle.prompt
        assert not isinstance(prompt, TextPrompt)
        if prompt.track_id in self.actions:  # a second correction builds on the mask of the first
            return
        try:
            track_id = self._correct(prompt, prompt.track_id) if prompt.track_id is not None else self._start(prompt)
        except (PromptError, TrackerError) as error:
            self.outcomes[entry.handle] = PromptOutcome(error=str(error))
            return
        track = self.state.tracks[track_id]
        self.outcomes[entry.handle] = PromptOutcome((track_id,), (track.label,))

    def _correct(self, prompt: ObjectPrompt, track_id: int) -> int:
        """Correct an object by a prompt that names its id."""
        self.actions[track_id] = Correct(track_id, self.context.masks.predict(prompt))
        self._confirm(track_id, prompt.label)
        return track_id

    def _start(self, prompt: ObjectPrompt) -> int:
        """Start an object, or correct the object that already has the mask of the prompt. Return its id."""
        predicted = self.context.masks.predict(prompt)
        mask = self.context.masks.mask_of(predicted)
        masks = {key: track.mask for key, track in self.context.visible.items()} | self.started
        candidates = {key: other for key, other in masks.items() if _names_match(self.state.tracks[key].label, prompt.label)}
        track_id = find_duplicate(mask, candidates, SAME_MASK_IOU)
        if track_id is None:
            check_capacity(self.state, self.context)
            self.state, track_id = self.state.spawned(prompt.label, Origin.PROMPT, confirmed=True)
            self.actions[track_id] = Spawn(track_id, predicted)
            self.started[track_id] = mask
        elif track_id not in self.actions:
            correction = replace(prompt, track_id=track_id)
            self.actions[track_id] = Correct(track_id, self.context.masks.predict(correction))
        name = self.state.tracks[track_id].label or prompt.label  # a second prompt for one object on this frame only adds the name
        self._confirm(track_id, name)
        return track_id

    def _confirm(self, track_id: int, name: str) -> None:
        """Confirm an object that a prompt of the user points at. The prompt overrides its color and motion models."""
        track = self.state.tracks[track_id].verified()
        track = replace(track, confirmed=True, label=name or track.label, model=None)
        self.state = replace(self.state.with_track(track), crossings=without(self.state.crossings, track_id))


def check_capacity(state: SessionState, context: FrameContext) -> None:
    """Raise TrackerError if the session has no capacity for one more object."""
    limit = context.options.max_objects
    if len(state.tracks) >= limit:
        raise TrackerError(f"{limit} objects are tracked already, which is the maximum: remove one first")


def _names_match(one: str, other: str) -> bool:
    """Return True if two names can belong to one object: the names are equal, or one of them is empty."""
    first, second = plain_name(one), plain_name(other)
    return not first or not second or first == second
