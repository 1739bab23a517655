# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1: hide objects that fail their verification, and split the overlap of crossing objects by color.

The masks of look-alikes are verified together; see `identity.look_alikes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import appearance_of
from lang2segtrack_ros.identity.association import find_duplicate
from lang2segtrack_ros.identity.crossings import ownership_of, unresolved_pairs
from lang2segtrack_ros.identity.look_alikes import Explanation, Sample, explain, must_wait, samples_of
from lang2segtrack_ros.identity.track_state import TrackState, Verification
from lang2segtrack_ros.identity.verification import require_reid, resembles
from lang2segtrack_ros.session.actions import Action, Reinitialize, SplitOverlap, Suspend
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.types.prompts import MaskPrompt, PromptError
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

_MOVE_INTERVAL = 5  # frames from one check of verified tracks against absent look-alikes to the next


def verify(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Verify the tracks as predicted from memory."""
    state = _enter_scene(state, context)
    samples = _observe(state, context)
    explanations = _explain(state, context, samples)
    state, moved = _move_masks(state, context, samples, explanations)
    shown = {key: track_id for explanation in explanations for key, track_id in explanation.objects.items()}
    tracks, hidden = dict(state.tracks), {*moved} - {action.track_id for action in moved.values()}
    for track in context.visible.values():
        known = tracks.get(track.id)
        if known is None or known.verification is Verification.VERIFIED or track.id in hidden:
            continue
        sample = samples.get(track.id) or Sample(appearance_of(context.color, track.mask, track.box))
        waiting = _waiting(track, sample, state, context)
        tracks |= waiting
        if (
            known.verification is not Verification.NEEDS_REDETECTION
            and not waiting
            and shown.get(track.id, track.id) == track.id
            and resembles(track, known, sample, context.options)
        ):
            tracks[track.id] = known.verified()
        else:
            hidden.add(track.id)
    state = replace(state, tracks=tracks)
    visible = {key: track for key, track in context.visible.items() if key not in hidden}
    actions: list[Action] = [Suspend(track_id) for track_id in sorted(hidden)]
    for pair in unresolved_pairs(state.crossings):
        ownership = ownership_of(pair, state.tracks, visible, context.color, state.scene.exposure)
        if ownership is not None:
            actions.append(SplitOverlap(pair, ownership))
    return state, [*actions, *moved.values()]


def _observe(state: SessionState, context: FrameContext) -> dict[int, Sample]:
    """Observe the masks that the features and the geometry of their objects can verify, by id of the track."""
    kind = context.options.appearance
    visible = {key: track for key, track in context.visible.items() if key in state.tracks}
    labels = {state.tracks[key].label for key in visible if state.tracks[key].verification is not Verification.VERIFIED}
    if context.index % _MOVE_INTERVAL == 0:
        labels |= {known.label for known in state.tracks.values() if known.id not in visible}
    groups = {label: _look_alikes(state, label) for label in labels}
    labels = {label for label, group in groups.items() if len(group) > (kind == "both") and any(known.features for known in group.values())}
    observed = [track for track in visible.values() if state.tracks[track.id].label in labels]
    if kind == "color" or not observed:
        return {}
    boxes = [cast(Box, track.box) for track in observed]
    others = [cast(Box, track.box) for track in visible.values()]
    samples = samples_of([track.mask for track in observed], boxes, context.color, context.masks.pool, others)
    return {track.id: sample for track, sample in zip(observed, samples)}


def _look_alikes(state: SessionState, label: str) -> dict[int, TrackState]:
    """Return the confirmed objects of a label with an appearance, by id."""
    return {key: known for key, known in state.tracks.items() if known.label == label and known.confirmed and known.appearance is not None}


def _explain(state: SessionState, context: FrameContext, samples: Mapping[int, Sample]) -> list[Explanation]:
    """Return the objects that the observed masks show, for each label. Equal masks of two tracks show one object."""
    options, explanations = context.options, []
    for label in sorted({state.tracks[key].label for key in samples}):
        masks: dict[int, NDArray[np.bool_]] = {}
        same: dict[int, int] = {}
        for key in samples:
            if state.tracks[key].label == label:
                duplicate = find_duplicate(context.visible[key].mask, masks)
                same[key] = key if duplicate is None else duplicate
                masks.setdefault(same[key], context.visible[key].mask)
        found = explain({key: samples[key] for key in masks}, _look_alikes(state, label), options.appearance, options.reid_threshold)
        objects = {key: found.objects[first] for key, first in same.items() if first in found.objects}
        explanations.append(Explanation(objects, found.gain))
    return explanations


def _waiting(track: Track, sample: Sample, state: SessionState, context: FrameContext) -> dict[int, TrackState]:
    """Return the states of the objects that wait for a whole mask of a track, by id. Empty if nothing needs to wait."""
    label = state.tracks[track.id].label
    absent = {
        key: known
        for key, known in _look_alikes(state, label).items()
        if key not in context.visible or known.verification is not Verification.VERIFIED
    }
    if sample.features is None or not must_wait(sample, absent.values(), context.index):
        return {}
    return {key: known.waiting(context.index) for key, known in absent.items()}


def _move_masks(
    state: SessionState, context: FrameContext, samples: Mapping[int, Sample], explanations: Iterable[Explanation]
) -> tuple[SessionState, dict[int, Reinitialize]]:
    """Give masks to the look-alikes that they certainly show. Return the actions by id of the track that had the mask."""
    actions: dict[int, Reinitialize] = {}
    for explanation in explanations:
        moved = explanation.moved
        must_detect = any(state.tracks[key].verification is Verification.NEEDS_REDETECTION for key in {*moved, *moved.values()})
        if must_detect or len({*moved.values()}) < len(moved) or not explanation.is_certain(samples):
            continue
        try:
            predicted = {key: context.masks.predict(MaskPrompt(context.visible[key].mask, state.tracks[key].label)) for key in moved}
        except (PromptError, TrackerError):
            state = replace(state, counters=state.counters.plus(predictions_refused=1))
            continue
        for key, track_id in moved.items():
            actions[key] = Reinitialize(track_id, predicted[key])
            state = state.with_track(state.tracks[track_id].verified())
        for key in {*moved} - {*moved.values()}:
            state = state.with_track(state.tracks[key].requiring(Verification.NEEDS_REID))
        state = replace(state, counters=state.counters.plus(suspected_id_switches=1))
    return state, actions


def _enter_scene(state: SessionState, context: FrameContext) -> SessionState:
    """Take the image into the scene. Drop what does not hold after a scene cut or in another image size."""
    height, width = context.color.shape[:2]
    if state.scene.size not in ((0, 0), (height, width)):  # crossings and detected areas are in pixels of the old image size
        state = state.without_crossings()
        state = replace(state, tracks={key: replace(track, detected_box=None) for key, track in state.tracks.items()})
    scene, is_cut = state.scene.next(context.color, context.options)
    state = replace(state, scene=scene)
    if not is_cut:
        return state
    state = state.without_detection().without_crossings()  # a result from before the cut does not describe the new scene
    return replace(
        state,
        tracks=require_reid(state.tracks, state.schedule.phrases, context.options),
        schedule=replace(state.schedule, detect_now=True),
        counters=state.counters.plus(scene_cuts=1),
    )
