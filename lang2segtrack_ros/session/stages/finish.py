# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Last stage: count the time unseen, find duplicates, end tracks, and make the result of the frame."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from lang2segtrack_ros.identity.confirmation import unconfirmable
from lang2segtrack_ros.identity.duplicates import find_duplicates
from lang2segtrack_ros.identity.lifecycle import track_status
from lang2segtrack_ros.identity.track_state import Verification
from lang2segtrack_ros.identity.verification import count_unseen
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.types.results import FrameResult, TrackStatus


def finish(
    state: SessionState, context: FrameContext, removed: Collection[int], started: Collection[int], stamp_ns: int, detections: int | None
) -> tuple[SessionState, FrameResult]:
    """Return the state after a frame, and the result of the frame.

    Args:
        state: the state after the other stages.
        context: view of the frame.
        removed: ids of objects that an action ends.
        started: ids of objects that a detection started on this frame.
        stamp_ns: timestamp of the image in nanoseconds.
        detections: number of detections that reached this frame. None without any.
    """
    state, duplicates = _count(state, context)
    ended = {*removed, *duplicates, *unconfirmable(state.tracks, state.schedule.phrases)}
    ended -= context.prompted  # a prompt on this frame proves that the object exists
    tracks = []
    for track in context.tracks:
        known = state.tracks[track.id]
        status = track_status(track.box is not None, known.unseen_ns, context.options)
        if track.id in ended or status is TrackStatus.REMOVED:
            track = track.as_removed()
            state = state.without_track(track.id)
        else:
            track = replace(track, state=status if known.confirmed else TrackStatus.TENTATIVE)
        tracks.append(track)
    ids = {track.id for track in tracks}
    height, width = context.color.shape[:2]
    result = FrameResult(
        stamp_ns=stamp_ns,
        index=context.index,
        height=height,
        width=width,
        tracks=tuple(sorted([*tracks, *(track for track in state.removed if track.id not in ids)], key=lambda track: track.id)),
        detections=detections,
        prompted=tuple(sorted({*context.prompted, *started} & ids)),
        events=state.instructions.events,
    )
    last = replace(result, tracks=tuple(track for track in tracks if track.state is not TrackStatus.REMOVED))
    instructions = replace(state.instructions, events=())
    return replace(state, frame_index=context.index + 1, last=last, removed=(), instructions=instructions), result


def _count(state: SessionState, context: FrameContext) -> tuple[SessionState, tuple[int, ...]]:
    """Count the time unseen and the relations of tracks. Return the state and the ids of duplicates."""
    options, phrases = context.options, state.schedule.phrases
    tracks = dict(state.tracks)
    for track in context.tracks:
        tracks[track.id] = count_unseen(tracks[track.id], track.box is not None, context.elapsed_ns, options)
    found = find_duplicates(state.pairs, context.tracks, options)
    suspected = 0
    for track_id in found.suspected:
        track_state = tracks[track_id]
        if track_state.is_detected and track_state.label in phrases and options.reid_after_s > 0:
            tracks[track_id] = track_state.requiring(Verification.NEEDS_REDETECTION)
            suspected += 1
    counters = state.counters.plus(duplicates_merged=len(found.duplicates), suspected_id_switches=suspected)
    return replace(state, tracks=tracks, pairs=found.pairs, counters=counters), found.duplicates
