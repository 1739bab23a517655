# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 3: associate detections with tracks.

* Return. A detection without a visible track is an absent object of its label if their appearances are similar. Several detections are
  assigned jointly.
* Stray track. A visible track without a detection has lost its object if the network doubts its mask, or if its mask looks different. A
  detection of its label nearby, which fits no track, can be the object then. The track is reinitialized there under its id.
* Drift. A track is reinitialized on its detection, under its id, when its box fits the detection badly twice in a row. Once is enough
  for an uncertain remnant, and for a mask that has grown over its neighbors.
* Withered mask. When a neighbor touches an object, its mask can shrink while its box still fits. If the network doubts the mask of the
  track, but not the mask of its detection, the track is reinitialized.
* Crossings. Two detections of one label, apart from each other, resolve a crossing of two objects of this label.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.association import (
    CONFIDENT_IOU,
    SAME_LABEL_IOU,
    box_iou,
    find_duplicate,
    is_within_reach,
    match_detections,
)
from lang2segtrack_ros.identity.confirmation import Hits, count_hits, is_sure
from lang2segtrack_ros.identity.crossings import resolve, unresolved_pairs
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.track_state import Origin, Pair
from lang2segtrack_ros.identity.verification import differs
from lang2segtrack_ros.session.actions import Action, Reidentify, Reinitialize, Remove, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.stages.candidates import Candidate, objects_of, observe, without_waiting
from lang2segtrack_ros.session.stages.detection_association import BOX_MARGIN, DetectionAssociation
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

_LOOSE_IOU = 0.6  # a detection and the box of its track fit loosely below this IoU


def associate(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Associate the detections on a frame. Without detections, the stage changes nothing."""
    if context.detection is None:
        return state, []
    association = Association(state, context, context.detection)
    association.run()
    return association.state, association.actions


@dataclass
class Association(DetectionAssociation):
    """The association with the standard rules.

    Attributes:
        matched: track id by detection index, for detections on the box of a visible track.
    """

    matched: dict[int, int] = field(default_factory=dict)

    def _associate(self) -> None:
        tracks = self.context.tracks
        areas = {key: track.detected_area for key, track in self.state.tracks.items() if track.detected_area is not None}
        self.matched, new = match_detections(self.result.detections, tracks, areas)
        new = self._resolve_crossings(new)
        self.found = {index: key for index, key in self.matched.items() if key in self.state.tracks}
        crossing_ids = {track_id for pair in self._same_label_pairs() for track_id in pair}
        unresolved = [track for track in tracks if track.id in crossing_ids]
        # A detection that touches an unresolved object may be either object of the pair, and their masks are not reliable.
        candidates = self._candidates([i for i in new if not _touches(self.result.detections[i], unresolved)])
        absent = [track.id for track in tracks if track.box is None and track.id in self.state.tracks and track.id not in crossing_ids]
        self._accept(candidates, absent, self._stray_tracks(candidates, crossing_ids))
        for index, track_id in self.matched.items():
            self._correct_drift(self.result.detections[index], track_id, crossing_ids)
        self._count_hits()

    def _same_label_pairs(self) -> list[Pair]:
        """Return the pairs of objects with the same label in unresolved crossings."""
        labels = self._labels()
        return [(one, other) for one, other in unresolved_pairs(self.state.crossings) if one in labels and labels[one] == labels.get(other)]

    def _labels(self) -> Mapping[int, str]:
        return {track.id: track.label for track in self.context.tracks}

    def _resolve_crossings(self, new: list[int]) -> list[int]:
        """Resolve crossings of objects that two detections show apart. Return the detections that still have no track."""
        labels = self._labels()
        for pair in self._same_label_pairs():
            same_label = [i for i, item in enumerate(self.result.detections) if item.label == labels[pair[0]]]
            indices = [i for i in same_label if i in new or self.matched.get(i) in pair]
            boxes = np.array([self.result.detections[i].box for i in indices], float)
            if len(indices) != 2 or box_iou(boxes[:1], boxes[1:])[0, 0] > 0:
                continue
            predicted = [self._predict_inside(self.result.detections[i]) for i in indices]
            parts = [Region.of(self.context.masks.mask_of(item)) for item in predicted if item is not None]
            self._assign_parts(pair, indices, [item for item in predicted if item], [part for part in parts if part is not None])
            new = [i for i in new if i not in self.matched]
        return new

    def _assign_parts(self, pair: Pair, indices: list[int], predicted: list[PromptPrediction], parts: list[Region]) -> None:
        """Assign two detections to the objects of a crossing, unless the image is older than the crossing."""
        if len(parts) != len(pair) or self.context.index <= self.state.crossings[pair].first_frame:
            return
        assignments = resolve(pair, parts, self.state.tracks, self.context.tracks, self.result.request.color, self.context.index)
        if assignments is None:
            return
        for assignment in assignments:
            self.matched[indices[assignment.part]] = assignment.track_id
            if not assignment.fits:
                self._reinitialize(assignment.track_id, predicted[assignment.part])
                self.corrected.add(assignment.track_id)
        self.state = close_crossing(self.state, pair, sum(not assignment.fits for assignment in assignments))

    def _candidates(self, indices: list[int]) -> list[Candidate]:
        """Predict the masks of detections without a track. Detections whose mask is that of a track go to `found` instead."""
        masks = {key: track.mask for key, track in self.context.visible.items()}
        found: list[tuple[int, PromptPrediction, NDArray[np.bool_]]] = []
        for index in indices:
            detection = self.result.detections[index]
            predicted = self._predict(detection, may_start=True)
            if predicted is None:
                continue
            duplicate = find_duplicate(self.context.masks.mask_of(predicted), masks)
            if duplicate is None:
                clipped = self.context.masks.clip_to_box(predicted, BOX_MARGIN)
                found.append((index, clipped, self.context.masks.mask_of(clipped)))
            elif duplicate in self.state.tracks:  # else the track was removed since this image
                self.found[index] = duplicate
        items = [self.result.detections[index] for index, _, _ in found]
        samples = observe([mask for _, _, mask in found], items, self.state, self.context, self.result.request.color)
        rows = zip(found, items, samples)
        return [Candidate(index, item.label, predicted, Region.of(mask), sample) for (index, predicted, mask), item, sample in rows]

    def _stray_tracks(self, candidates: list[Candidate], crossing_ids: Collection[int]) -> list[int]:
        """Return the visible tracks that have probably lost their object, which can be one of the candidates."""
        excluded = {*self.found.values(), *crossing_ids, *self.context.prompted}
        detections = [self.result.detections[candidate.index] for candidate in candidates]
        return [
            track.id
            for track in self.context.visible.values()
            if track.id not in excluded and track.id in self.state.tracks and self._is_stray(track, detections)
        ]

    def _is_stray(self, track: Track, detections: list[Detection]) -> bool:
        """Return True if a track has probably lost its object, and a detection of its label lies within reach of the object."""
        state = self.state.tracks[track.id]
        if not state.is_detected or not any(item.label == state.label and is_within_reach(item.box, state) for item in detections):
            return False
        return track.predicted_iou < CONFIDENT_IOU or differs(track, state, self.result.request.color, self.context.options)

    def _accept(self, candidates: list[Candidate], absent: list[int], stray: list[int]) -> None:
        """Continue an absent or stray object for each candidate that resembles it, and start an object for each other candidate."""
        self.state, candidates = without_waiting(candidates, [*absent, *stray], self.state, self.context)
        lost = [self.state.tracks[key] for key in (*absent, *stray)]
        returned = objects_of(candidates, lost, self.context.options)
        self.state = replace(self.state, counters=self.state.counters.plus(tracks_reidentified=len(returned)))
        for position, candidate in enumerate(candidates):
            if position not in returned:
                self._spawn(candidate)
                continue
            track_id = self.found[candidate.index] = lost[returned[position]].id
            if track_id in stray:
                self._reinitialize(track_id, candidate.predicted)
                self.corrected.add(track_id)
            else:
                self.actions.append(Reidentify(track_id, candidate.predicted))
                self.state = self.state.with_track(self.state.tracks[track_id].verified())

    def _spawn(self, candidate: Candidate) -> None:
        """Start an object for a candidate, confirmed if the detection is sure."""
        if not self._may_spawn():
            return
        detection, is_empty = self.result.detections[candidate.index], candidate.region is None
        if is_empty and detection.label not in self.state.schedule.phrases:  # no later detection could show or end the object
            self.errors.append(f'the mask of "{detection.label}" is empty (score {detection.score:.2f}): send the prompt on another image')
            return
        is_certain = self.context.options.min_hits <= 1 or (self._is_sure(detection) and self._fills_box(candidate, detection))
        confirmed = is_certain and not is_empty
        self.state, track_id = self.state.spawned(detection.label, Origin.DETECTION, confirmed)
        self.actions.append(Spawn(track_id, candidate.predicted))
        self.found[candidate.index] = track_id

    def _is_sure(self, detection: Detection) -> bool:
        return is_sure(detection.score, self.result.request.default_threshold_of(detection.label), self.context.options)

    @staticmethod
    def _fills_box(candidate: Candidate, detection: Detection) -> bool:
        """Return True if the network is confident of the mask of a candidate, and the mask fills the box of the detection."""
        if candidate.region is None or float(candidate.predicted.prediction.iou[0]) < CONFIDENT_IOU:
            return False
        return float(box_iou(np.array([detection.box]), np.array([candidate.region.box]))[0, 0]) >= CONFIDENT_IOU

    def _correct_drift(self, detection: Detection, track_id: int, crossing_ids: Collection[int]) -> None:
        """Reinitialize a track that has drifted from its detection.

        Objects in `crossing_ids` are skipped, because the box may be that of the other object. So are objects that a prompt has corrected
        on this frame.
        """
        track, state = self.context.visible.get(track_id), self.state.tracks.get(track_id)
        excluded = {*crossing_ids, *self.corrected, *self.context.prompted}
        if track is None or state is None or detection.label != track.label or track_id in excluded:
            return
        iou = float(box_iou(np.array([detection.box]), np.array([track.box]))[0, 0])
        loose_fits = state.loose_fits + 1 if iou < _LOOSE_IOU else 0
        drifted = iou < SAME_LABEL_IOU or loose_fits >= 2  # a remnant, an overgrown mask, or a lasting loose fit
        self.state = self.state.with_track(replace(state, loose_fits=0 if loose_fits >= 2 else loose_fits))
        is_uncertain = track.predicted_iou < CONFIDENT_IOU
        predicted = self._predict_inside(detection) if drifted or is_uncertain else None
        if predicted is not None and (drifted or float(predicted.prediction.iou[0]) >= CONFIDENT_IOU):
            self._reinitialize(track_id, predicted)

    def _reinitialize(self, track_id: int, predicted: PromptPrediction) -> None:
        self.actions.append(Reinitialize(track_id, predicted))
        self.state = self.state.with_track(replace(self.state.tracks[track_id].verified(), loose_fits=0))

    def _count_hits(self) -> None:
        """Count hits and misses, and record the boxes of the detections."""
        detections, phrases = self.result.detections, self.result.request.labels
        labels = self._labels()
        named = [(key, detections[index]) for index, key in self.found.items() if labels.get(key) == detections[index].label]
        boxes: dict[int, Box] = {}
        for index in [*self.matched, *sorted(self.found, key=lambda i: -detections[i].score)]:  # others may cover only a part
            key = self.found.get(index)
            if key is not None and self.state.tracks[key].label == detections[index].label:
                boxes.setdefault(key, detections[index].box)
        for key, box in boxes.items():
            self.state = self.state.with_track(replace(self.state.tracks[key], detected_box=box))
        sure = frozenset(key for key, item in named if self._is_sure(item))
        hits = Hits(frozenset(self.found.values()), frozenset(key for key, _ in named), sure)
        tracks, false_alarms = count_hits(self.state.tracks, hits, self.context.tracks, phrases, self.context.options)
        self.state = replace(self.state, tracks=tracks, counters=self.state.counters.plus(false_alarms=len(false_alarms)))
        self.actions += [Remove(track_id) for track_id in false_alarms]


def close_crossing(state: SessionState, pair: Pair, corrected: int) -> SessionState:
    """Return the state after a crossing is resolved.

    Args:
        state: the state.
        pair: ids of the objects.
        corrected: number of tracks that were reinitialized.
    """
    crossings = {key: crossing for key, crossing in state.crossings.items() if key != pair}
    counters = state.counters.plus(crossings_resolved=1, tracks_corrected_after_crossings=corrected)
    return replace(state, crossings=crossings, counters=counters)


def _touches(detection: Detection, tracks: Collection[Track]) -> bool:
    """Return True if a detection's box overlaps the box of a track with the same label."""
    boxes = [track.box for track in tracks if track.box is not None and track.label == detection.label]
    return bool(boxes) and bool((box_iou(np.array([detection.box]), np.array(boxes)) > 0).any())
