# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The objects that an instruction chose become tracks; tracks that no longer fit a continuous instruction are let go.

A chosen object that is tracked already keeps its track, whatever its label. Other chosen objects start tracks on the frame of the request.
A track is let go if two answers in a row judged it and did not choose it. The association runs on the frame of the request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.instruction_resolver import SAME_OBJECT_IOU, InstructionResult
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult
from lang2segtrack_ros.identity.association import box_iou, find_duplicate
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.actions import Remove, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.instruction_state import ActiveInstruction
from lang2segtrack_ros.session.stages.detection_association import DetectionAssociation
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.events import EventKind, InstructionEvent
from lang2segtrack_ros.types.prompt_handle import PromptOutcome
from lang2segtrack_ros.types.results import Track

MAX_MISFITS = 2
"""Number of answers in a row that judge a track and do not choose it, after which the instruction lets it go."""


@dataclass
class InstructionAssociation(DetectionAssociation):
    """The association of one answer.

    Attributes:
        answer: the answer.
        started: ids of the tracks that the answer starts.
    """

    answer: InstructionResult = field(kw_only=True)
    started: set[int] = field(default_factory=set)

    @staticmethod
    def of(state: SessionState, context: FrameContext, answer: InstructionResult) -> InstructionAssociation:
        """Return the association of an answer.

        Args:
            state: the present state.
            context: view of the frame of the request.
            answer: the answer.
        """
        request = DetectionRequest(context.index, context.color, (), ())
        return InstructionAssociation(state, context, DetectionResult(request, answer.detections), answer=answer)

    def run(self) -> None:
        """Associate the chosen objects, let tracks go, and answer the prompt."""
        self._associate()
        names = {key: self.state.tracks[key].label for key in self.found.values()}
        lacking = [*self.answer.missing, *dict.fromkeys(self.errors)]
        instructions = self.state.instructions
        handle = instructions.handle
        if handle is not None:
            outcome = PromptOutcome(
                tuple(self.found.values()),
                tuple(names[key] for key in self.found.values()),
                notes=self.answer.notes,
                plan=self.answer.plan,
                reasons=tuple(self.answer.reasons[index] for index in self.found),
                missing=tuple(lacking),
            )
            self.state = replace(self.state, prompts=self.state.prompts.applied({handle: outcome}))
        if instructions.prompt_id in instructions.active:
            self._update(instructions.prompt_id, instructions.active[instructions.prompt_id])
        instructions = self.state.instructions.reporting(self.answer.request.prompt, EventKind.MISSING, "; ".join(lacking))
        self.state = replace(self.state, instructions=instructions.without_request())

    def _associate(self) -> None:
        tracks = [track for track in self.context.visible.values() if track.id in self.state.tracks]
        found = self._tracked(tracks)
        masks = {track.id: track.mask for track in tracks}
        for index, detection in enumerate(self.answer.detections):
            track_id = found.get(index)
            if track_id is None:
                taken = {*found.values(), *self.found.values()}
                track_id = self._start(detection, {key: mask for key, mask in masks.items() if key not in taken})
            if track_id is not None:
                self.found[index] = track_id
                self._name(track_id, detection.label)

    def _tracked(self, tracks: list[Track]) -> dict[int, int]:
        """Return the id of the track for each chosen object that is tracked, by index."""
        if not tracks or not self.answer.detections:
            return {}
        ious = box_iou(np.array([item.box for item in self.answer.detections]), np.array([track.box for track in tracks]))
        pairs = zip(*linear_sum_assignment(-ious))
        return {int(index): tracks[column].id for index, column in pairs if ious[index, column] >= SAME_OBJECT_IOU}

    def _start(self, detection: Detection, masks: dict[int, NDArray[np.bool_]]) -> int | None:
        """Start an object and return its id. Return the track that has its mask, or None if the network predicts no mask."""
        predicted = self._predict_inside(detection, may_start=True)
        if predicted is None:
            return None
        duplicate = find_duplicate(self.context.masks.mask_of(predicted), masks)
        if duplicate is not None:
            return duplicate
        if not self._may_spawn():
            return None
        self.state, track_id = self.state.spawned(detection.label, Origin.PROMPT, confirmed=True)
        self.actions.append(Spawn(track_id, predicted))
        self.started.add(track_id)
        return track_id

    def _name(self, track_id: int, label: str) -> None:
        """Confirm a chosen track, and give it a label if it has none."""
        track = self.state.tracks[track_id]
        self.state = self.state.with_track(replace(track, confirmed=True, label=track.label or label))

    def _update(self, prompt_id: int, active: ActiveInstruction) -> None:
        """Update the tracks of a continuous instruction, and note the changes as events."""
        present = set(self.found.values())
        before = active.chosen & self.state.tracks.keys()
        misfits = {key: active.misfits.get(key, 0) + self._is_judged(key) for key in before - present}
        released = {key for key, count in misfits.items() if count >= MAX_MISFITS}
        kept = before - present - released  # not judged, or not often enough
        self.actions += [Remove(key) for key in sorted(released & active.started)]
        active = replace(
            active,
            chosen=frozenset(present | kept),
            started=frozenset(((active.started & before) | self.started) - released),
            misfits={key: misfits[key] for key in kept},
        )
        events = []
        if present - before:
            texts = [f"track {key} ({self.state.tracks[key].label}): {self._reason(key)}" for key in sorted(present - before)]
            events.append(self._event(EventKind.CHOSEN, prompt_id, "; ".join(texts), present - before))
        if released:
            texts = [f"track {key} ({self.state.tracks[key].label})" for key in sorted(released)]
            why = "; ".join([*(f"now track {key}: {self._reason(key)}" for key in sorted(present)), *self.answer.missing])
            verb = "no longer fits" if len(texts) == 1 else "no longer fit"
            events.append(self._event(EventKind.RELEASED, prompt_id, f"{', '.join(texts)} {verb}: {why}", released))
        instructions = self.state.instructions.updated(prompt_id, active)
        self.state = replace(self.state, instructions=replace(instructions, events=(*instructions.events, *events)))

    def _is_judged(self, track_id: int) -> bool:
        """Return True if the track was visible on the frame, and the resolver saw an object there."""
        track = self.context.visible.get(track_id)
        if track is None or track.box is None or not self.answer.judged:
            return False
        return bool((box_iou(np.array([track.box]), np.array(self.answer.judged)) >= SAME_OBJECT_IOU).any())

    def _reason(self, track_id: int) -> str:
        return next(self.answer.reasons[index] for index, key in self.found.items() if key == track_id)

    def _event(self, kind: EventKind, prompt_id: int, message: str, ids: set[int]) -> InstructionEvent:
        return InstructionEvent(kind, prompt_id, self.answer.request.prompt.text, message, tuple(sorted(ids)))
