# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 4: follow the crossings, and reinitialize tracks that cover the wrong object after a crossing."""

from __future__ import annotations

from dataclasses import replace

from lang2segtrack_ros.identity.crossings import next_crossings, resolve
from lang2segtrack_ros.session.actions import Action, Reinitialize
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.stages.associate import BOX_MARGIN, close_crossing
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import TrackerError
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError


def resolve_crossings(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Open, update and resolve the crossings of the visible objects."""
    if not context.options.resolve_crossings:
        return state, []
    crossings, separated = next_crossings(state.crossings, state.tracks, context.tracks, context.index)
    state = replace(state, crossings=crossings)
    actions: dict[int, Action] = {}
    for pair, parts in separated.items():
        assignments = resolve(pair, parts, state.tracks, context.tracks, context.color, context.index)
        if assignments is None:
            continue
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
    return state, list(actions.values())
