# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Detections to tracks: which object is one that is followed already, which one returns, which one is new, and which track has drifted.

An answer about the open frame is placed on it. One about an earlier frame is placed on a fork of the tracker that begins there, and
what is new in it is caught up through the features of the frames since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

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

_MARGIN = 0.15
"""A detector's box holds its object but for this share of the box on each side; what a mask shows beyond is a neighbour."""


class Associator:
    """Places detections.

    Args:
        tracker: of the present.
        registry: knows who is who.
        meetings: knows who has met whom.

    Attributes:
        begun: tracks that detections began; whoever reads it empties it.
        false_alarms: tracks that a look has shown to be nothing; likewise.
        refused: how many detections the network made nothing of.
    """

    STATE = ("spawned", "false_alarms", "refused_predictions", "_drifted")
    """Attributes that a frame changes."""

    def __init__(self, tracker: StreamTracker, registry: TrackRegistry, crossings: Crossings) -> None:
        self.tracker = tracker
        self.registry = registry
        self.crossings = crossings
        self.spawned: list[int] = []
        self.false_alarms: list[int] = []
        self.refused_predictions = 0
        self._drifted: list[tuple[int, BoxPrompt]] = []

    def reset(self) -> None:
        """Forgets what is still to be done."""
        self.spawned.clear()
        self.false_alarms.clear()
        self._drifted.clear()

    def associate(self, given: DetectionResult, opened: OpenFrame, tracks: list[Track], handles: list[PromptHandle]) -> set[int]:
        """Gives each detection the track it belongs to, or starts one on the open frame; settles the handles.

        Returns:
            Tracks that had slipped onto another object and are set right.
        """
        matched, new = match_detections(given.detections, tracks, self.registry.detected_areas)
        set_right = self._resolve_crossings(given, opened, tracks, matched, new)
        labels = {track.id: track.label for track in tracks}
        found = {index: track_id for index, track_id in matched.items() if track_id in self.tracker.ids}
        full = ""
        newcomers: dict[int, PromptPrediction] = {}
        looks: list[tuple[str, Appearance | None]] = []
        visible = [track for track in tracks if track.box is not None]
        known = {track.id: track.mask for track in visible} | {key: opened.mask_of(item) for key, item in opened.prompted.items()}
        waiting = len(opened.added) if opened.tracker is self.tracker else 0  # of a fork, all are old objects
        met = {track_id for pair in self._unsettled(labels) for track_id in pair}
        unsettled = [track for track in tracks if track.id in met]
        for index in new:
            detection = given.detections[index]
            if _touches(detection, unsettled):
                continue  # one of two that are not told apart yet, and whose masks are not to be trusted
            try:
                predicted = opened.predict(BoxPrompt(detection.box, detection.label), check_room=False)
            except (PromptError, TrackerError) as error:
                full = str(error)
                continue
            mask = opened.mask_of(predicted)
            duplicate = find_duplicate(mask, known)
            if duplicate is None:
                newcomers[index] = opened.confined(predicted, _MARGIN)
                looks.append((detection.label, appearance_of(given.request.color, opened.mask_of(newcomers[index]))))
            else:
                found[index] = duplicate
        absent = [track.id for track in tracks if track.box is None and track.id in self.tracker.ids and track.id not in met]
        again = self.registry.reidentify(looks, absent)
        for position, (index, predicted) in enumerate(newcomers.items()):
            try:
                if position not in again:
                    self.tracker.check_room(waiting)
                    waiting += 1
                found[index] = self._spawn_or_reidentify(opened, predicted, given.detections[index], again.get(position))
            except TrackerError as error:
                full = str(error)
        by_id = {track.id: track for track in visible}
        for index, track_id in matched.items():
            if track_id in by_id:
                self._correct_drift(opened, given.detections[index], by_id[track_id], met)
        for index, track_id in found.items():
            self.registry.record_detected_area(track_id, given.detections[index].label, given.detections[index].box)
        self.false_alarms += self.registry.record_detection(set(found.values()), tracks, given.request.phrases)
        for handle in handles:
            self._answer_prompt(handle, given.detections, found, labels, full)
            if isinstance(handle.prompt, TextPrompt) and handle.prompt.mode == "once":
                self.registry.confirm_once(handle.track_ids)
        return set_right

    def _resolve_crossings(
        self, given: DetectionResult, opened: OpenFrame, tracks: list[Track], matched: dict[int, int], new: list[int]
    ) -> set[int]:
        """Settles meetings of two objects of one label of which this answer has one box each; changes `matched` and `new`."""
        set_right: set[int] = set()
        labels = {track.id: track.label for track in tracks}
        for pair in self._unsettled(labels):
            label = labels[pair[0]]
            mine = [i for i, item in enumerate(given.detections) if item.label == label and (i in new or matched.get(i) in pair)]
            boxes = np.array([given.detections[i].box for i in mine], float)
            if len(mine) != 2 or box_iou(boxes[:1], boxes[1:])[0, 0] > 0:
                continue
            prompts = [BoxPrompt(given.detections[i].box, label) for i in mine]
            predicted = [self._predict(opened, prompt) for prompt in prompts]
            parts = [opened.mask_of(item) for item in predicted if item is not None]
            if len(parts) != 2:
                continue
            late = self.tracker.frame_index - 1 - opened.tracker.frame_index
            for associate in self.crossings.resolve(pair, parts, tracks, given.request.color, late) or []:
                matched[mine[associate.part]] = associate.track_id
                if not associate.fits:
                    self._reinitialize(opened, associate.track_id, prompts[associate.part])
                    set_right.add(associate.track_id)
            new[:] = [i for i in new if i not in matched]
        return set_right

    def _unsettled(self, labels: Mapping[int, str]) -> list[tuple[int, int]]:
        """Pairs of one label, by `labels` of tracks, that have met and are not told apart yet."""
        return [(one, other) for one, other in self.crossings.pairs if one in labels and labels[one] == labels.get(other)]

    def _reinitialize(self, opened: OpenFrame, track_id: int, prompt: BoxPrompt) -> None:
        """Sets a track onto a box, keeping its id, and lets it forget what it was on."""
        if opened.tracker is self.tracker:
            self._drifted.append((track_id, prompt))
            return
        predicted = self._predict(opened, prompt)
        if predicted is not None:
            opened.accept(predicted, track_id)

    def catch_up(self, pending: PendingDetection, given: DetectionResult, last: Sequence[Track]) -> None:
        """Places an answer about an earlier frame and brings its new objects to the present; `last`: the latest tracks."""
        fork = self.tracker.fork()
        start, *later = pending.features
        fork.frame_index, features, height, width = start
        opened = fork.begin(features, height, width)
        set_right = self.associate(given, opened, pending.tracks, pending.handles)
        present = opened.commit()
        if not fork.ids:
            return
        for index, features, height, width in later:
            fork.frame_index = index
            present = fork.begin(features, height, width).commit()
        self._settle_with_present(fork, present, last, set_right, pending.handles)
        fork.frame_index = self.tracker.frame_index
        self.tracker.adopt(fork)

    def reinitialize(self, features: ImageFeatures, frame: Frame, prompts: Mapping[int, BoxPrompt]) -> list[Track]:
        """Begins tracks anew under their ids, on the frame just finished: what they remember has slipped or drifted with them.

        Args:
            features: of the frame.
            frame: the frame.
            prompts: where they are, by id; those that detections have shown to have drifted are added.

        Returns:
            The tracks as they are now on that frame.
        """
        anew = {**{track_id: prompt for track_id, prompt in self._drifted if track_id in self.tracker.ids}, **prompts}
        self._drifted = []
        if not anew:
            return []
        fork = self.tracker.fork()
        fork.frame_index -= 1
        opened = fork.begin(features, frame.height, frame.width)
        for track_id, prompt in anew.items():
            predicted = self._predict(opened, prompt)
            if predicted is not None:
                opened.accept(predicted, track_id)
                self.registry.mark_verified(track_id)
        tracks = opened.commit()
        for track_id in fork.ids:
            self.tracker.remove(track_id)
        self.tracker.adopt(fork)
        return tracks

    def _settle_with_present(
        self, fork: StreamTracker, present: list[Track], last: Sequence[Track], set_right: set[int], handles: Sequence[PromptHandle]
    ) -> None:
        """What was prompted, found or seen again in the meantime may be the same object as one that was caught up.

        Not so a track that was set right: the one on the same pixels is the one that has slipped onto its object.
        """
        masks = {track.id: track.mask for track in last}
        for track in present:
            duplicate = find_duplicate(track.mask, masks) if track.id not in set_right else None
            if duplicate is not None:
                fork.remove(track.id)
                for handle in handles:
                    handle.track_ids = [duplicate if track_id == track.id else track_id for track_id in handle.track_ids]
                if track.id not in self.tracker.ids:
                    self.registry.forget(track.id)
                elif duplicate == track.id:
                    self.registry.mark_verified(track.id)
            elif track.id in self.tracker.ids:  # an old object, found where the tracker does not see it
                self.tracker.remove(track.id)
                self.registry.mark_verified(track.id)

    def _spawn_or_reidentify(self, opened: OpenFrame, predicted: PromptPrediction, detection: Detection, old_id: int | None) -> int:
        """Gives a newcomer a new track, or the absent one that it is."""
        if old_id is None:
            track_id = opened.accept(predicted, self.tracker.reserve_id())
            self.registry.add(track_id, detection.label, found=True)
            self.spawned.append(track_id)
            return track_id
        if opened.tracker is self.tracker:
            corrected = self._predict(opened, BoxPrompt(detection.box, "", old_id))
            if corrected is not None:
                opened.accept(corrected)
                self.registry.mark_verified(old_id)
        else:
            opened.accept(predicted, old_id)  # the fork's copy replaces the old track when it has caught up
        return old_id

    def _correct_drift(self, opened: OpenFrame, detection: Detection, track: Track, met: Collection[int]) -> None:
        """Sets a track that has drifted off its detection back onto it, keeping its id.

        Not one of `met`, whose box may be the other's, nor one that a user has set right on this frame.
        """
        if detection.label != track.label or track.id not in self.tracker.ids or track.id in met or track.id in opened.prompted:
            return
        fits = float(box_iou(np.array([detection.box]), np.array([track.box]))[0, 0])
        if fits < SAME_LABEL_IOU or self.registry.loose_fits(track.id, fits):  # a remnant, or loose for long
            self._reinitialize(opened, track.id, BoxPrompt(detection.box, detection.label))

    def _predict(self, opened: OpenFrame, prompt: BoxPrompt) -> PromptPrediction | None:
        """What a detection's box gives on a frame; None, counted, where the network makes nothing of it."""
        try:
            return opened.confined(opened.predict(prompt), _MARGIN)
        except (PromptError, TrackerError):
            self.refused_predictions += 1
            return None

    @staticmethod
    def _answer_prompt(
        handle: PromptHandle, detections: Sequence[Detection], found: dict[int, int], labels: dict[int, str], full: str
    ) -> None:
        assert isinstance(handle.prompt, TextPrompt)
        mine = {found[index]: item.label for index, item in enumerate(detections) if item.label in handle.prompt.phrases and index in found}
        missing = [phrase for phrase in handle.prompt.phrases if phrase not in mine.values()]
        if missing:
            going_on = "; it is looked for on" if handle.prompt.mode == "continuous" else ""
            handle.notes.append(f"not found on this image: {', '.join(missing)}{going_on}")
        handle.finish(list(mine), [labels.get(track_id, label) for track_id, label in mine.items()], full if not mine else "")


def _touches(detection: Detection, tracks: Sequence[Track]) -> bool:
    """Whether a detection's box overlaps the box of a track of its label."""
    boxes = [track.box for track in tracks if track.box is not None and track.label == detection.label]
    return bool(boxes) and bool((box_iou(np.array([detection.box]), np.array(boxes)) > 0).any())
