# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Catching up: detections on an earlier frame, or the answer to an instruction, become objects of the present frame.

The association runs on the earlier frame. Its new and reinitialized objects start there in a fork of the tracker, which propagates them
through the cached features of the later frames. A frame catches up with one result; another one waits for the next frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lang2segtrack_ros.detection.pending_detection import CachedFrame, PendingDetection, PendingInstruction
from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.identity.association import find_duplicate
from lang2segtrack_ros.identity.track_state import Tracks
from lang2segtrack_ros.session.actions import Spawn, apply_actions
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.prompt_queue import PromptEntry
from lang2segtrack_ros.session.stages.associate import Association
from lang2segtrack_ros.session.stages.detection_association import DetectionAssociation
from lang2segtrack_ros.session.stages.instruction_association import InstructionAssociation
from lang2segtrack_ros.session.stages.sam3_association import Sam3Association
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.bank_storage import TrackRows
from lang2segtrack_ros.tracking.open_frame import ImageInfo
from lang2segtrack_ros.tracking.tracker import Tracker
from lang2segtrack_ros.types.prompt_handle import PromptStatus
from lang2segtrack_ros.types.results import Track


class CaughtUp:
    """The effect of a late detection or a late answer on the present.

    Args:
        state: the present state.
        tracker: the tracker of the present. It stays unchanged.
        options: options of the session.

    Attributes:
        state: the state after the association.
        rows: the objects with their memories before the present frame.
        removed: ids of objects that the association ends.
        started: ids of objects that the association started.
        detections: number of late detections. None if there were none.
    """

    def __init__(self, state: SessionState, tracker: Tracker, options: SessionOptions) -> None:
        self.state = state
        self.rows = tracker.rows
        self.removed: set[int] = set()
        self.started: set[int] = set()
        self.detections: int | None = None
        self._tracker = tracker
        self._options = options
        pending, instruction = state.pending, state.instructions.pending
        if pending is not None and not pending.fits(state.scene.size):
            self.state = self.state.without_detection()  # its boxes are in pixels of another image size
            pending = None
        if instruction is not None and not instruction.fits(state.scene.size):
            self.state = self.state.without_instruction_request()
            instruction = None
        # One of them on a frame. Answers come first, because they are rare: on a slow stream, detections arrive on each frame.
        if instruction is not None and instruction.result is not None:
            answer = instruction.result
            self._run(instruction, lambda context: InstructionAssociation.of(self.state, context, answer))
        elif pending is not None and pending.result is not None:
            self.state = replace(self.state, pending=None)
            self.detections = len(pending.result.detections)
            self._run(pending, self._association(pending.result))

    def _association(self, result: DetectionResult) -> Callable[[FrameContext], DetectionAssociation]:
        if self._options.association == "standard":
            return lambda context: Association(self.state, context, result)
        return lambda context: Sam3Association(self.state, context, result, is_late=True)

    def _run(self, pending: PendingDetection | PendingInstruction, make: Callable[[FrameContext], DetectionAssociation]) -> None:
        """Run the association that `make` returns on the frame of the request, and bring its objects to the present."""
        fork, start = self._tracker.fork(), pending.frames[0]
        opened = fork.open(_image(start))
        known = self.state.tracks
        association = make(FrameContext(start.index, pending.request.color, 0, pending.tracks, self._options, opened))
        association.run()
        self.state = association.state
        self.started = {action.track_id for action in association.actions if isinstance(action, Spawn)}
        self.removed = apply_actions(opened, association.actions)
        if not opened.prompted:
            return
        present = opened.tracks({})
        fork.apply(fork.compute(opened))
        for frame in pending.frames[1:]:
            opened = fork.open(_image(frame))
            present = opened.tracks({})
            fork.apply(fork.compute(opened))
        self._merge(fork.rows, present, association.corrected, known)

    def _merge(self, rows: TrackRows, present: list[Track], corrected: set[int], known: Tracks) -> None:
        """Join the caught-up objects with those of the tracker.

        An object of the fork that duplicates a track of the tracker is dropped. A prompt or a return may have started the latter. A
        corrected track is no duplicate: the track on the same pixels is the one that has moved to its object.
        """
        last = self.state.last
        masks = {track.id: track.mask for track in last.tracks if track.id in known} if last is not None else {}
        duplicates: dict[int, int] = {}
        for track in present:
            duplicate = find_duplicate(track.mask, masks) if track.id not in corrected else None
            if duplicate is not None:
                duplicates[track.id] = duplicate
                if track.id not in known:
                    self.state = self.state.without_track(track.id)
                    self.started.discard(track.id)
            if track.id in known and duplicate in (None, track.id):  # an existing object, found again
                self.state = self.state.with_track(self.state.tracks[track.id].verified())
            elif track.id in known:  # the other track keeps the place, so nothing is known of this object
                before = known[track.id]
                unchanged = replace(self.state.tracks[track.id], verification=before.verification, unseen_ns=before.unseen_ns)
                self.state = self.state.with_track(unchanged)
        caught_up = rows.without(set(duplicates))
        self.rows = self.rows.without(set(caught_up.ids)).joined(caught_up)
        prompts = self.state.prompts.mapped(_has_tracks, lambda entry: _renamed(entry, duplicates))
        self.state = replace(self.state, prompts=prompts, instructions=self.state.instructions.renamed(duplicates))


def _image(frame: CachedFrame) -> ImageInfo:
    return ImageInfo(lambda: frame.features, frame.height, frame.width, frame.index)


def _has_tracks(entry: PromptEntry) -> bool:
    return entry.status is PromptStatus.APPLIED


def _renamed(entry: PromptEntry, ids: Mapping[int, int]) -> PromptEntry:
    """Return an entry whose outcome names the remaining tracks instead of their duplicates."""
    assert entry.outcome is not None
    track_ids = tuple(ids.get(track_id, track_id) for track_id in entry.outcome.track_ids)
    return replace(entry, outcome=replace(entry.outcome, track_ids=track_ids))
