# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of a session as an immutable value. To undo a frame, the session keeps the state from before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from lang2segtrack_ros.detection.pending_detection import PendingDetection
from lang2segtrack_ros.detection.schedule import DetectionSchedule
from lang2segtrack_ros.identity.crossings import Crossing
from lang2segtrack_ros.identity.crossings import without as without_crossings
from lang2segtrack_ros.identity.duplicates import PairHistory
from lang2segtrack_ros.identity.sam3_rules import Sam3State
from lang2segtrack_ros.identity.scene_cut import SceneState
from lang2segtrack_ros.identity.track_state import Origin, Pair, TrackState
from lang2segtrack_ros.session.instruction_state import InstructionState
from lang2segtrack_ros.session.prompt_queue import PromptQueue
from lang2segtrack_ros.types.prompt_handle import PromptStatus
from lang2segtrack_ros.types.results import FrameResult, Track


@dataclass(frozen=True)
class Counters:
    """The counters of identity events since the start of a session.

    Attributes:
        scene_cuts: scene cuts.
        predictions_refused: detections for which the network predicted no mask.
        false_alarms: tentative objects that were false alarms.
        tracks_reidentified: absent objects that a detection has found again.
        duplicates_merged: tracks that were duplicates of another one.
        suspected_id_switches: tracks that have probably moved to another object.
        crossings_resolved: crossings after which both objects were assigned.
        tracks_corrected_after_crossings: tracks that were reinitialized on their object after a crossing.
        tracks_recovered: objects that got lost in a crossing and were found by their color.
    """

    scene_cuts: int = 0
    predictions_refused: int = 0
    false_alarms: int = 0
    tracks_reidentified: int = 0
    duplicates_merged: int = 0
    suspected_id_switches: int = 0
    crossings_resolved: int = 0
    tracks_corrected_after_crossings: int = 0
    tracks_recovered: int = 0

    def plus(self, **counts: int) -> Counters:
        """Return the counters with some of them increased.

        Args:
            **counts: increments by name.
        """
        return replace(self, **{name: getattr(self, name) + count for name, count in counts.items()})

    def by_name(self) -> dict[str, int]:
        """Return all counters by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class SessionState:
    """All that a session knows, except the memories of the tracker.

    Attributes:
        frame_index: number of the next frame since the start or the last reset.
        next_track_id: id of the next object. An id is never given twice.
        scene: the latest image.
        tracks: the objects by id.
        crossings: the open crossings by pair of ids.
        pairs: the relations of objects of one label by pair of ids.
        prompts: the prompts that wait for their outcome.
        schedule: the continuous text prompts.
        pending: the detection request in progress. None without one.
        instructions: the continuous instructions, and the request of an instruction in progress.
        counters: counters of events.
        last: the latest result without removed tracks. None before the first frame.
        removed: tracks that were removed since the latest result, and appear once more.
        sam3: memory of the rules of SAM 3. It stays empty with the standard rules.
    """

    frame_index: int = 0
    next_track_id: int = 1
    scene: SceneState = field(default_factory=SceneState)
    tracks: Mapping[int, TrackState] = field(default_factory=dict)
    crossings: Mapping[Pair, Crossing] = field(default_factory=dict)
    pairs: Mapping[Pair, PairHistory] = field(default_factory=dict)
    prompts: PromptQueue = field(default_factory=PromptQueue)
    schedule: DetectionSchedule = field(default_factory=DetectionSchedule)
    pending: PendingDetection | None = None
    instructions: InstructionState = field(default_factory=InstructionState)
    counters: Counters = field(default_factory=Counters)
    last: FrameResult | None = None
    removed: tuple[Track, ...] = ()
    sam3: Sam3State = field(default_factory=Sam3State)

    @property
    def is_idle(self) -> bool:
        """Return True if there are no objects and no prompts, and no detection and no removed track waits for a frame."""
        waits = self.prompts.entries or self.schedule.prompts or self.pending or self.removed or not self.instructions.is_idle
        return not (self.tracks or waits)

    @property
    def labels(self) -> dict[int, str]:
        """Return the labels of all objects by id."""
        return {key: state.label for key, state in self.tracks.items()}

    def with_track(self, track: TrackState) -> SessionState:
        """Return the state with a new or changed object."""
        return replace(self, tracks={**self.tracks, track.id: track})

    def spawned(self, label: str, origin: Origin, confirmed: bool) -> tuple[SessionState, int]:
        """Return the state with a new object, and its id.

        Args:
            label: name of the object.
            origin: source of the object.
            confirmed: False for a tentative object.
        """
        track = TrackState(self.next_track_id, label, origin, confirmed)
        return replace(self.with_track(track), next_track_id=track.id + 1), track.id

    def without_track(self, track_id: int) -> SessionState:
        """Return the state without an object."""
        return replace(
            self,
            tracks={key: track for key, track in self.tracks.items() if key != track_id},
            crossings=without_crossings(self.crossings, track_id),
            pairs={pair: history for pair, history in self.pairs.items() if track_id not in pair},
        )

    def with_removal(self, track_id: int) -> SessionState:
        """Return the state without an object that the user removes. The next result shows the object once more, as removed."""
        last = self.last.by_id.get(track_id) if self.last is not None else None
        state = self.without_track(track_id)
        return replace(state, removed=(*state.removed, last.as_removed())) if last is not None else state

    def reset(self) -> SessionState:
        """Return a state without objects and prompts. Ids, counters and the exposure of the scene continue."""
        reason = "the session was reset before the prompt was applied: send the prompt again"
        return SessionState(
            next_track_id=self.next_track_id,
            scene=self.scene.restarted(),
            prompts=self.prompts.refused(reason),
            schedule=self.schedule.cleared(),
            counters=self.counters,
            last=self.last,
            removed=tuple(track.as_removed() for track in self.last.tracks) if self.last is not None else (),
        )

    def without_detection(self) -> SessionState:
        """Return the state without the detection in progress. Its prompts wait for the next detection."""
        return replace(self, pending=None, prompts=self.prompts.requeued(PromptStatus.DETECTING))

    def without_instruction_request(self) -> SessionState:
        """Return the state without the instruction request in progress. Its prompt waits for the next request."""
        prompts = self.prompts.requeued(PromptStatus.RESOLVING)
        return replace(self, instructions=self.instructions.without_request(), prompts=prompts)

    def without_crossings(self) -> SessionState:
        """Return the state without crossings and without the color and motion models of the objects."""
        return replace(self, crossings={}, tracks={key: replace(track, model=None) for key, track in self.tracks.items()})
