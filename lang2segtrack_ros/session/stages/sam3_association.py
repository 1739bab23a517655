# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stage 3 with the rules of SAM 3: match detections with tracks by their masks; see `identity.sam3_rules`.

There is no motion model, no correction of drift and no re-identification. The mask of a detection is that of its box, or the mask that
the detector returns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.sam3_rules import (
    CONDITIONING_RUNS,
    DETECTION_SCORE,
    NMS_IOU,
    PROBATION_RUNS,
    SURE_SCORE,
    Match,
    match_masks,
    next_probation,
)
from lang2segtrack_ros.identity.track_state import Origin
from lang2segtrack_ros.session.actions import Action, Correct, Remove, Spawn
from lang2segtrack_ros.session.context import FrameContext
from lang2segtrack_ros.session.stages.detection_association import DetectionAssociation
from lang2segtrack_ros.session.state import SessionState
from lang2segtrack_ros.tracking.open_frame import PromptPrediction, TrackerError
from lang2segtrack_ros.types.prompts import MaskPrompt, PromptError


def associate_sam3(state: SessionState, context: FrameContext) -> tuple[SessionState, list[Action]]:
    """Associate the detections on a frame. Without detections, the stage changes nothing."""
    if context.detection is None:
        return state, []
    association = Sam3Association(state, context, context.detection)
    association.run()
    return association.state, association.actions


@dataclass(frozen=True, eq=False)
class _Found:
    """A detection with its mask.

    Attributes:
        index: index of the detection.
        label: its label.
        score: its score on SAM 3's scale.
        predicted: prediction of its mask.
        region: the mask.
    """

    index: int
    label: str
    score: float
    predicted: PromptPrediction
    region: Region


@dataclass
class Sam3Association(DetectionAssociation):
    """The association with the rules of SAM 3.

    Attributes:
        is_late: True for the detections of an earlier frame. They condition no track, because the memory of that frame is written.
    """

    is_late: bool = False

    def _associate(self) -> None:
        tracks, items = self.context.tracks, self._detections()
        ious = np.array([[item.region.iou(track.mask) if item.label == track.label else 0.0 for track in tracks] for item in items])
        match = match_masks(ious.reshape(len(items), len(tracks)), np.array([item.score for item in items]), tracks)
        for row, track_ids in match.tracks.items():
            if track_ids[0] in self.state.tracks:  # else the track was removed since this image
                self.found[items[row].index] = track_ids[0]
        self._end_probation(match)
        for row in match.new:
            self._spawn(items[row])
        if not self.is_late and self.state.sam3.runs % CONDITIONING_RUNS == 0:
            self._condition(match)
        self.state = replace(self.state, sam3=replace(self.state.sam3, runs=self.state.sam3.runs + 1))

    def _detections(self) -> list[_Found]:
        """Return the detections with a mask, without those whose mask overlaps that of a better detection of their label."""
        items: list[_Found] = []
        masks: list[NDArray[np.bool_]] = []
        for index, detection in sorted(enumerate(self.result.detections), key=lambda item: -item[1].score):
            predicted = self._predict_inside(detection, may_start=True)
            if predicted is None:
                continue
            mask = self.context.masks.mask_of(predicted)
            region = Region.of(mask)
            if region is None:
                self.errors.append(f'the mask of "{detection.label}" is empty (score {detection.score:.2f})')
                continue
            if any(item.label == detection.label and region.iou(other) > NMS_IOU for item, other in zip(items, masks)):
                continue
            score = detection.score * DETECTION_SCORE / max(self.result.request.default_threshold_of(detection.label), 1e-6)
            items.append(_Found(index, detection.label, score, predicted, region))
            masks.append(mask)
        return items

    def _end_probation(self, match: Match) -> None:
        """Remove the tentative objects that fail their probation, and confirm those that have passed it."""
        tentative = {key: track.label for key, track in self.state.tracks.items() if not track.confirmed}
        looked_for = {key for key, label in tentative.items() if label in self.result.request.labels}
        rules, lonely, duplicates = next_probation(self.state.sam3.of_objects(self.state.tracks.keys(), tentative), match, looked_for)
        removed = lonely | duplicates
        passed = {key for key, run in rules.born.items() if rules.runs - run >= PROBATION_RUNS - 1} - removed
        tracks = {key: replace(track, confirmed=track.confirmed or key in passed) for key, track in self.state.tracks.items()}
        counters = self.state.counters.plus(false_alarms=len(lonely), duplicates_merged=len(duplicates))
        self.state = replace(self.state, tracks=tracks, counters=counters, sam3=rules)
        self.actions += [Remove(key) for key in sorted(removed)]

    def _spawn(self, item: _Found) -> None:
        """Start an object for a detection."""
        if not self._may_spawn():
            return
        has_probation = self.context.options.association == "sam3"
        self.state, track_id = self.state.spawned(item.label, Origin.DETECTION, not has_probation)
        if has_probation:
            rules = self.state.sam3
            self.state = replace(self.state, sam3=replace(rules, born={**rules.born, track_id: rules.runs}))
        self.actions.append(Spawn(track_id, item.predicted))
        self.found[item.index] = track_id

    def _condition(self, match: Match) -> None:
        """Make the masks of tracks with a sure detection conditioning memories; see `Sam3VideoModel._prepare_recondition_masks`."""
        for track_id in match.sure:
            track = self.context.visible.get(track_id)
            if track is None or track_id in self.context.prompted or track.object_score <= SURE_SCORE:
                continue
            try:
                self.actions.append(Correct(track_id, self.context.masks.predict(MaskPrompt(track.mask, track.label))))
            except (PromptError, TrackerError):
                self.state = replace(self.state, counters=self.state.counters.plus(predictions_refused=1))
