# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 1: hide objects that fail their verification, and split the overlap of crossing objects by color."""

from __future__ import annotations

from dataclasses import replace

from lang2segtrack_ros.identity.crossings import ownership_of, unresolved_pairs
from lang2segtrack_ros.identity.track_state import Verification
from lang2segtrack_ros.identity.verification import require_reid, resembles
from lang2segtrack_ros.session.actions import Action, SplitOverlap, Suspend
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.state import SessionState


def verify(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Verify the tracks as predicted from memory."""
    state = _enter_scene(state, context)
    tracks, hidden = dict(state.tracks), set()
    for track in context.visible.values():
        known = tracks.get(track.id)
        if known is None or known.verification is Verification.VERIFIED:
            continue
        if known.verification is not Verification.NEEDS_REDETECTION and resembles(track, known, context.color, context.options):
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
