# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Association of detections with tracks: new objects, absent objects that return, and tracks that have drifted.

Detections on the open frame are applied to it directly. Detections on an earlier frame are applied to a fork of the tracker that starts
on that frame. The fork then catches up new objects through the cached features of the later frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.detection.pending_detection import PendingDetection
from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.identity.appearance import Appearance, appearance_of
from lang2segtrack_ros.identity.association import SAME_LABEL_IOU, box_iou, find_duplicate, match_detections
from lang2segtrack_ros.identity.crossings import Crossings
from lang2segtrack_ros.identity.track_registry import TrackRegistry
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.tracking.open_frame import OpenFrame, PromptPrediction, TrackerError
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.prompts import BoxPrompt, PromptError, TextPrompt
from lang2segtrack_ros.types.results import Track

_BOX_MARGIN = 0.15
"""Margin around a detection's box, as a ratio of the box's size. Mask pixels beyond this margin belong to a neighbor."""


@dataclass(frozen=True)
class _Candidate:
    """A detection without a track: a new object, or an absent one that returns.

    Attributes:
        index: index of the detection.
        predicted: prediction of its mask.
        appearance: appearance under this mask; None for a mask that is too small.
    """

    index: int
    predicted: PromptPrediction
    appearance: Appearance | None


class Associator:
    """Association of detections with the tracks of a session.

    Args:
        tracker: tracker of the session.
        registry: identities of the objects.
        crossings: open crossings of the objects.

    Attributes:
        spawned: ids of the tracks that detections have started. The reader clears this list.
        false_alarms: ids of tentative tracks that were false alarms. The reader clears this list.
        refused_predictions: number of detections for which the network predicted no mask.
    """

    STATE = ("spawned", "false_alarms", "refused_predictions", "_drifted")
    """Names of the attributes that a frame changes."""

    def __init__(self, tracker: StreamTracker, registry: TrackRegistry, crossings: Crossings) -> None:
        self.tracker = tracker
        self.registry = registry
        self.crossings = crossings
        self.spawned: list[int] = []
        self.false_alarms: list[int] = []
        self.refused_predictions = 0
        self._drifted: list[tuple[int, BoxPrompt]] = []

    def reset(self) -> None:
        """Clear all pending work."""
        self.spawned.clear()
        self.false_alarms.clear()
        self._drifted.clear()

    def associate(self, result: DetectionResult, opened: OpenFrame, tracks: list[Track], handles: list[PromptHandle]) -> set[int]:
        """Associate each detection with a track, or start a track on the open frame, and answer the prompts.

        Args:
            result: detections on the image of the open frame.
            opened: the open frame, of the tracker or of a fork.
            tracks: tracks on that image.
            handles: prompts that wait for the detections.

        Returns:
            Ids of the tracks that had moved to another object in a crossing and are reinitialized on their own object.
        """
        matched, new = match_detections(result.detections, tracks, self.registry.detected_areas)
        corrected = self._resolve_crossings(result, opened, tracks, matched, new)
        labels = {track.id: track.label for track in tracks}
        found = {index: track_id for index, track_id in matched.items() if track_id in self.tracker.ids}
        errors: list[str] = []
        visible = {track.id: track for track in tracks if track.box is not None}
        masks = {track_id: track.mask for track_id, track in visible.items()}
        masks |= {track_id: opened.mask_of(item) for track_id, item in opened.prompted.items()}
        crossing_ids = {track_id for pair in self._unresolved_pairs(labels) for track_id in pair}
        unresolved = [track for track in tracks if track.id in crossing_ids]
        # A detection that touches an unresolved object may be either object of the pair, and their masks are not reliable.
        candidate_indices = [i for i in new if not _touches(result.detections[i], unresolved)]
        candidates = self._predict_candidates(result, opened, candidate_indices, masks, found, errors)
        absent = [track.id for track in tracks if track.box is None and track.id in self.tracker.ids and track.id not in crossing_ids]
        appearances = [(result.detections[candidate.index].label, candidate.appearance) for candidate in candidates]
        reidentified = self.registry.reidentify(appearances, absent)
        self._accept_candidates(result, opened, candidates, reidentified, found, errors)
        for index, track_id in matched.items():
            if track_id in visible:
                self._correct_drift(opened, result.detections[index], visible[track_id], crossing_ids)
        for index, track_id in found.items():
            self.registry.record_detected_area(track_id, result.detections[index].label, result.detections[index].box)
        self.false_alarms += self.registry.record_detection(set(found.values()), tracks, result.request.phrases)
        for handle in handles:
            self._answer_prompt(handle, result.detections, found, labels, errors[-1] if errors else "")
            if isinstance(handle.prompt, TextPrompt) and handle.prompt.mode == "once":
                self.registry.confirm_once(handle.track_ids)
        return corrected

    def _predict_candidates(
        self,
        result: DetectionResult,
        opened: OpenFrame,
        indices: Sequence[int],
        masks: Mapping[int, NDArray[np.bool_]],
        found: dict[int, int],
        errors: list[str],
    ) -> list[_Candidate]:
        """Predict the masks of detections without a track. Detections whose mask is that of a track go to `found` instead."""
        candidates: list[_Candidate] = []
        for index in indices:
            detection = result.detections[index]
            try:
                predicted = opened.predict(BoxPrompt(detection.box, detection.label), check_capacity=False)
            except (PromptError, TrackerError) as error:
                errors.append(str(error))
                continue
            duplicate = find_duplicate(opened.mask_of(predicted), masks)
            if duplicate is None:
                clipped = opened.clip_to_box(predicted, _BOX_MARGIN)
                candidates.append(_Candidate(index, clipped, appearance_of(result.request.color, opened.mask_of(clipped))))
            else:
                found[index] = duplicate
        return candidates

    def _accept_candidates(
        self,
        result: DetectionResult,
        opened: OpenFrame,
        candidates: Sequence[_Candidate],
        reidentified: Mapping[int, int],
        found: dict[int, int],
        errors: list[str],
    ) -> None:
        """Start a track for each candidate, or continue the absent track that `reidentified` names for its position."""
        reserved = len(opened.added) if opened.tracker is self.tracker else 0  # a fork contains only old objects
        for position, candidate in enumerate(candidates):
            try:
                if position not in reidentified:
                    self.tracker.check_capacity(reserved)
                    reserved += 1
                detection = result.detections[candidate.index]
                found[candidate.index] = self._spawn_or_reidentify(opened, candidate.predicted, detection, reidentified.get(position))
            except TrackerError as error:
                errors.append(str(error))

    def _resolve_crossings(
        self, result: DetectionResult, opened: OpenFrame, tracks: list[Track], matched: dict[int, int], new: list[int]
    ) -> set[int]:
        """Resolve crossings of two objects of one label for which the result has two separate boxes; change `matched` and `new`.

        Returns:
            Ids of the tracks that are reinitialized on their own object.
        """
        corrected: set[int] = set()
        labels = {track.id: track.label for track in tracks}
        for pair in self._unresolved_pairs(labels):
            label = labels[pair[0]]
            indices = [i for i, item in enumerate(result.detections) if item.label == label and (i in new or matched.get(i) in pair)]
            boxes = np.array([result.detections[i].box for i in indices], float)
            if len(indices) != 2 or box_iou(boxes[:1], boxes[1:])[0, 0] > 0:
                continue
            prompts = [BoxPrompt(result.detections[i].box, label) for i in indices]
            predicted = [self._predict(opened, prompt) for prompt in prompts]
            parts = [opened.mask_of(item) for item in predicted if item is not None]
            if len(parts) != 2:
                continue
            frames_ago = self.tracker.frame_index - 1 - opened.tracker.frame_index
            for assignment in self.crossings.resolve(pair, parts, tracks, result.request.color, frames_ago) or []:
                matched[indices[assignment.part]] = assignment.track_id
                if not assignment.fits:
                    self._reinitialize(opened, assignment.track_id, prompts[assignment.part])
                    corrected.add(assignment.track_id)
            new[:] = [i for i in new if i not in matched]
        return corrected

    def _unresolved_pairs(self, labels: Mapping[int, str]) -> list[tuple[int, int]]:
        """Return the pairs of objects with the same label in open crossings. `labels` maps track ids to labels."""
        return [(one, other) for one, other in self.crossings.pairs if one in labels and labels[one] == labels.get(other)]

    def _reinitialize(self, opened: OpenFrame, track_id: int, prompt: BoxPrompt) -> None:
        """Reinitialize a track on a box, under its id and without its memories. A track of the tracker itself waits for `reinitialize`."""
        if opened.tracker is self.tracker:
            self._drifted.append((track_id, prompt))
            return
        predicted = self._predict(opened, prompt)
        if predicted is not None:
            opened.accept(predicted, track_id)

    def catch_up(self, pending: PendingDetection, result: DetectionResult, last: Sequence[Track]) -> None:
        """Associate detections on an earlier frame, and advance new objects to the current frame.

        Args:
            pending: the detection request with its prompts and the cached features since its frame.
            result: detections on the frame of the request.
            last: tracks of the latest frame.
        """
        fork = self.tracker.fork()
        start, *later = pending.features
        fork.frame_index, features, height, width = start
        opened = fork.begin(features, height, width)
        corrected = self.associate(result, opened, pending.tracks, pending.handles)
        present = opened.commit()
        if not fork.ids:
            return
        for index, features, height, width in later:
            fork.frame_index = index
            present = fork.begin(features, height, width).commit()
        self._merge_with_present(fork, present, last, corrected, pending.handles)
        fork.frame_index = self.tracker.frame_index
        self.tracker.adopt(fork)

    def reinitialize(
        self, features: ImageFeatures, frame: Frame, prompts: Mapping[int, BoxPrompt]
    ) -> tuple[list[Track], StreamTracker | None]:
        """Reinitialize tracks under their ids on the current frame. Their memories show the wrong object, and are dropped.

        Args:
            features: features of the frame.
            frame: the current frame.
            prompts: boxes of the objects by id. Tracks that drifted from their detection are added.

        Returns:
            The reinitialized tracks on that frame, and the fork that holds them for `StreamTracker.apply`. None if there are none.
        """
        reinitializations = {**{track_id: prompt for track_id, prompt in self._drifted if track_id in self.tracker.ids}, **prompts}
        self._drifted = []
        if not reinitializations:
            return [], None
        fork = self.tracker.fork()
        opened = fork.begin(features, frame.height, frame.width)
        for track_id, prompt in reinitializations.items():
            predicted = self._predict(opened, prompt)
            if predicted is not None:
                opened.accept(predicted, track_id)
                self.registry.mark_verified(track_id)
        return opened.commit(), fork

    def _merge_with_present(
        self, fork: StreamTracker, present: list[Track], last: Sequence[Track], corrected: set[int], handles: Sequence[PromptHandle]
    ) -> None:
        """Remove tracks of the fork that duplicate a track of the tracker. A prompt or a return may have started the latter.

        A corrected track is no duplicate. The track on the same pixels is the one that has moved to its object.
        """
        masks = {track.id: track.mask for track in last}
        for track in present:
            duplicate = find_duplicate(track.mask, masks) if track.id not in corrected else None
            if duplicate is not None:
                fork.remove(track.id)
                for handle in handles:
                    handle.track_ids = [duplicate if track_id == track.id else track_id for track_id in handle.track_ids]
                if track.id not in self.tracker.ids:
                    self.registry.forget(track.id)
                elif duplicate == track.id:
                    self.registry.mark_verified(track.id)
            elif track.id in self.tracker.ids:  # an existing object, found in a place where the tracker has no mask
                self.tracker.remove(track.id)
                self.registry.mark_verified(track.id)

    def _spawn_or_reidentify(self, opened: OpenFrame, predicted: PromptPrediction, detection: Detection, old_id: int | None) -> int:
        """Start a new track for a candidate, or continue the absent track `old_id`, and return the track id."""
        if old_id is None:
            track_id = opened.accept(predicted, self.tracker.reserve_id())
            self.registry.add(track_id, detection.label, from_detector=True)
            self.spawned.append(track_id)
            return track_id
        if opened.tracker is self.tracker:
            correction = self._predict(opened, BoxPrompt(detection.box, "", old_id))
            if correction is not None:
                opened.accept(correction)
                self.registry.mark_verified(old_id)
        else:
            opened.accept(predicted, old_id)  # the track of the fork replaces the old one after catching up
        return old_id

    def _correct_drift(self, opened: OpenFrame, detection: Detection, track: Track, crossing_ids: Collection[int]) -> None:
        """Reinitialize a track that has drifted from its detection.

        Objects in `crossing_ids` are skipped, because the box may be that of the other object. So are objects that a prompt has corrected
        on this frame.
        """
        if detection.label != track.label or track.id not in self.tracker.ids or track.id in crossing_ids or track.id in opened.prompted:
            return
        iou = float(box_iou(np.array([detection.box]), np.array([track.box]))[0, 0])
        if iou < SAME_LABEL_IOU or self.registry.record_fit(track.id, iou):  # a remnant, an overgrown mask, or a lasting loose fit
            self._reinitialize(opened, track.id, BoxPrompt(detection.box, detection.label))

    def _predict(self, opened: OpenFrame, prompt: BoxPrompt) -> PromptPrediction | None:
        """Predict the mask of a detection's box; if the network predicts none, count this and return None."""
        try:
            return opened.clip_to_box(opened.predict(prompt), _BOX_MARGIN)
        except (PromptError, TrackerError):
            self.refused_predictions += 1
            return None

    @staticmethod
    def _answer_prompt(
        handle: PromptHandle, detections: Sequence[Detection], found: dict[int, int], labels: dict[int, str], error: str
    ) -> None:
        """Resolve a text prompt with its tracks, or with `error` if it has none."""
        assert isinstance(handle.prompt, TextPrompt)
        phrases = handle.prompt.phrases
        own = {found[index]: item.label for index, item in enumerate(detections) if item.label in phrases and index in found}
        missing = [phrase for phrase in phrases if phrase not in own.values()]
        if missing:
            suffix = "; detection continues" if handle.prompt.mode == "continuous" else ""
            handle.notes.append(f"not found on this image: {', '.join(missing)}{suffix}")
        handle.finish(list(own), [labels.get(track_id, label) for track_id, label in own.items()], error if not own else "")


def _touches(detection: Detection, tracks: Sequence[Track]) -> bool:
    """Return True if a detection's box overlaps the box of a track with the same label."""
    boxes = [track.box for track in tracks if track.box is not None and track.label == detection.label]
    return bool(boxes) and bool((box_iou(np.array([detection.box]), np.array(boxes)) > 0).any())
