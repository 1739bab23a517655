# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 4: follow the crossings, reinitialize tracks that cover the wrong object after a crossing, and search for lost objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import appearance_of, appearance_similarity
from lang2segtrack_ros.identity.association import CONFIDENT_IOU, find_duplicate
from lang2segtrack_ros.identity.crossings import next_crossings, resolve, unresolved_pairs
from lang2segtrack_ros.identity.recovery import is_search_due, search_by_color
from lang2segtrack_ros.identity.track_state import Verification
from lang2segtrack_ros.session.actions import Action, Reinitialize
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.stages.associate import close_crossing
from lang2segtrack_ros.session.stages.detection_association import BOX_MARGIN
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction, TrackerError
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError
from lang2segtrack_ros.types.results import Track

_MAX_GROWTH = 2.0  # ratio of the areas of a found mask and its object


def resolve_crossings(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Open, update and resolve the crossings of the visible objects."""
    if not context.options.resolve_crossings:
        return state, []
    crossings, separated = next_crossings(state.crossings, state.tracks, context.tracks, context.index)
    state = replace(state, crossings=crossings)
    actions: dict[int, Action] = {}
    assigned: set[int] = set()
    for pair, parts in separated.items():
        if assigned & {*pair}:  # an object in two crossings: the second crossing stays open until the next frame
            continue
        assignments = resolve(pair, parts, state.tracks, context.tracks, context.color, context.index)
        if assignments is None:
            continue
        assigned |= {*pair}
        wrong = [assignment for assignment in assignments if not assignment.fits]
        state = close_crossing(state, pair, len(wrong))
        for assignment in wrong:
            label = state.tracks[assignment.track_id].label
            try:
                predicted = context.masks.predict(BoxPrompt(parts[assignment.part].box, label))
            except (PromptError, TrackerError):
                state = replace(state, counters=state.counters.plus(predictions_refused=1))
                continue
            actions[assignment.track_id] = Reinitialize(assignment.track_id, context.masks.clip_to_box(predicted, BOX_MARGIN))
            state = state.with_track(state.tracks[assignment.track_id].verified())
    masks = {key: track.mask for key, track in context.visible.items()}
    in_crossings = {track_id for pair in unresolved_pairs(state.crossings) for track_id in pair}
    for track in context.tracks:
        has_lost_place = track.id in in_crossings or state.tracks[track.id].verification is Verification.NEEDS_REID
        if has_lost_place and is_search_due(track):
            found = _search(state, context, track, masks)
            if found is not None:
                masks[track.id] = context.masks.mask_of(found)
                actions[track.id] = Reinitialize(track.id, found)
                state = state.with_track(state.tracks[track.id].verified())
                state = replace(state, counters=state.counters.plus(tracks_recovered=1))
    return state, list(actions.values())


def _search(state: SessionState, context: FrameContext, track: Track, masks: Mapping[int, NDArray[np.bool_]]) -> PromptPrediction | None:
    """Search for an object whose track is on another one. Return its mask if the network is confident and the mask resembles the object."""
    known = state.tracks[track.id]
    if known.model is None:
        return None
    others = [(other, state.tracks[key].model) for key, other in context.visible.items()]
    box = search_by_color(known.model, others, context.color, context.index, state.scene.exposure)
    if box is None:
        return None
    try:
        predicted = context.masks.clip_to_box(context.masks.predict(BoxPrompt(box, known.label)), BOX_MARGIN)
    except (PromptError, TrackerError):
        return None
    mask = context.masks.mask_of(predicted)
    area = np.count_nonzero(mask) / known.model.area
    if float(predicted.prediction.iou[0]) < CONFIDENT_IOU or not 1 / _MAX_GROWTH <= area <= _MAX_GROWTH:
        return None
    if find_duplicate(mask, masks) is not None:
        return None
    similarity = appearance_similarity(appearance_of(context.color, mask), known.appearance)
    return predicted if similarity >= context.options.reid_threshold else None
