# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The identity of every object beyond the last image: appearance, confirmation and verification.

The tracker gives the position of an object. The registry decides whether a track still shows the same object. It applies these rules:

* Confirmation. An object from the detector is tentative until the detector has found it `min_hits` times. Until then the detector runs
  twice as often. A tentative object that three later detections miss is a false alarm, and is removed. An object from a user's prompt is
  confirmed immediately.
* Re-identification. An object needs re-identification after `reid_after_s` without being visible, and after a scene cut. Such an object
  counts as hidden until its mask resembles it (`reid_threshold`), or until the detector finds it again. After a scene cut, color is not
  enough for an object that the detector looks for. The detector must find it.
* Changed appearance. An object whose appearance differs from its model on three consecutive frames needs re-identification too. Its
  track has moved to something else.
* Missed detections. A visible object of a continuous prompt needs re-identification when the detector misses it `max_misses` times in a
  row. Its track may have drifted to something else.
* Return. A detection without a visible track is an absent object of its label if their appearances are similar. Several detections are
  assigned jointly.
* Drift. A track is reinitialized on its detection, under its id, when its box fits the detection badly twice in a row. Once is enough
  for an uncertain remnant, and for a mask that has grown over its neighbors.
* Duplicates. Two tracks of one label on the same pixels for `merge_frames` frames are one object, and the older id stays. Tracks that
  were seen apart before are two objects, and one track has moved to the other object. If the detector looks for them, the less certain
  track needs a new detection.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.association import CONFIDENT_IOU, box_iou, track_iou
from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

_APPEARANCE_MOMENTUM = 0.95  # weight of the stored appearance when the appearance on a new frame is mixed in
_FALSE_ALARM_MISSES = 3  # misses after which a tentative object is a false alarm
_MERGE_IOU = 0.7  # mask IoU from which two tracks are on the same pixels
_DISSIMILARITY_MARGIN = 0.2  # an object differs from its model below `reid_threshold` minus this margin
_MAX_DISSIMILAR_FRAMES = 3  # consecutive frames with a different appearance before re-identification
_APART_FRAMES = 5  # frames on which two tracks must have been seen apart to be two objects
_LOOSE_IOU = 0.6  # a detection and the box of its track fit loosely below this IoU


@dataclass(frozen=True)
class IdentityOptions:
    """Parameters of the identity rules.

    Attributes:
        min_hits: number of detections that confirm an object. Set to 1 to announce an object immediately.
        reid_after_s: time in seconds without being visible after which an object needs re-identification. Set to 0 to disable.
        reid_threshold: minimum appearance similarity of the same object, 0..1.
        max_misses: number of consecutive missed detections after which a visible object needs re-identification. Set to 0 to disable.
        merge_frames: number of frames on the same pixels after which two tracks become one. Set to 0 to disable.
        resolve_crossings: decide by color and motion which object is which after a crossing, see `crossings`.
    """

    min_hits: int = 2
    reid_after_s: float = 1.0
    reid_threshold: float = 0.8
    max_misses: int = 6
    merge_frames: int = 4
    resolve_crossings: bool = True


@dataclass
class _TrackRecord:
    """The identity of one object.

    Attributes:
        label: name of the object.
        confirmed: False while the object is tentative.
        from_detector: True if the detector found the object, False if a user's prompt gave it.
        hits: number of detections of the object.
        misses: number of consecutive missed detections.
        unseen_s: time since the object was last visible, in seconds.
        loose_fits: number of consecutive detections that fit the box of the track loosely.
        dissimilar_frames: number of consecutive frames on which the appearance differed from the model.
        needs_reid: True if the object must be re-identified before it is shown.
        needs_redetection: True if only a detection, and not the appearance, can re-identify the object.
        detected_area: area of the box of the last detection in square pixels; None without a detection.
        appearance: running mean of the appearance; None before the first reliable mask.
    """

    label: str
    confirmed: bool
    from_detector: bool
    hits: int = 1
    misses: int = 0
    unseen_s: float = 0.0
    loose_fits: int = 0
    dissimilar_frames: int = 0
    needs_reid: bool = False
    needs_redetection: bool = False
    detected_area: float | None = None
    appearance: Appearance | None = None


@dataclass(frozen=True)
class _Pair:
    """The relation of two tracks of one label, the older track first.

    Attributes:
        frames_apart: number of frames on which the tracks were apart.
        frames_together: number of consecutive frames on which the tracks were on the same pixels.
        score_difference: score of the older track minus that of the younger one, summed over the frames together.
    """

    frames_apart: int = 0
    frames_together: int = 0
    score_difference: float = 0.0


@dataclass
class TrackRegistry:
    """The identities of all objects of a session, by track id.

    Attributes:
        options: parameters of the identity rules.
        merged: number of tracks that were duplicates of another one.
        reidentified: number of absent objects that a detection has found again.
        false_alarms: number of tentative objects that were false alarms.
        suspected_id_switches: number of tracks that have probably moved to another object.
    """

    options: IdentityOptions = field(default_factory=IdentityOptions)
    merged: int = 0
    reidentified: int = 0
    false_alarms: int = 0
    suspected_id_switches: int = 0
    _records: dict[int, _TrackRecord] = field(default_factory=dict)
    _pairs: dict[tuple[int, int], _Pair] = field(default_factory=dict)

    def add(self, track_id: int, label: str, from_detector: bool) -> None:
        """Add a new object.

        Args:
            track_id: id of the object.
            label: name of the object.
            from_detector: True if the detector found the object, False if a user's prompt gave it.
        """
        confirmed = not from_detector or self.options.min_hits <= 1
        self._records[track_id] = _TrackRecord(label, confirmed=confirmed, from_detector=from_detector)

    def confirm_by_user(self, track_id: int, label: str) -> str:
        """Confirm an object that a user's prompt points at, and return its label. A label that is not empty replaces the old one."""
        record = self._records[track_id]
        record.confirmed, record.label = True, label or record.label
        self.mark_verified(track_id)
        return record.label

    def mark_verified(self, track_id: int) -> None:
        """Mark an object as verified, because the user or the detector has given its position."""
        record = self._records.get(track_id)
        if record is not None:
            record.needs_reid, record.needs_redetection, record.unseen_s, record.misses = False, False, 0.0, 0

    def forget(self, track_id: int) -> None:
        """Remove an object."""
        self._records.pop(track_id, None)
        self._pairs = {pair: relation for pair, relation in self._pairs.items() if track_id not in pair}

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the whole state."""
        records: list[tuple[object, tuple[str, ...]]] = [(record, tuple(vars(record))) for record in self._records.values()]
        return Snapshot([(self, ("merged", "reidentified", "false_alarms", "suspected_id_switches", "_records", "_pairs")), *records])

    def reset(self) -> None:
        """Remove all objects."""
        self._records.clear()
        self._pairs.clear()

    def is_confirmed(self, track_id: int) -> bool:
        """Return False for a tentative object, which must not be announced yet."""
        record = self._records.get(track_id)
        return record is None or record.confirmed

    def unconfirmable(self, phrases: Collection[str]) -> list[int]:
        """Return the tentative objects that no detection can confirm, because the detector only looks for `phrases`."""
        return [track_id for track_id, record in self._records.items() if not record.confirmed and record.label not in phrases]

    @property
    def unconfirmed_labels(self) -> set[str]:
        """Labels of the tentative objects."""
        return {record.label for record in self._records.values() if not record.confirmed}

    def require_reid(self, phrases: Collection[str] = ()) -> None:
        """Require re-identification of all objects after a scene cut.

        Args:
            phrases: names that the detector looks for. The detector must find objects with these names again.
        """
        if self.options.reid_after_s > 0:
            for record in self._records.values():
                record.needs_reid = True
                record.needs_redetection = record.from_detector and record.label in phrases

    @property
    def needs_reid(self) -> list[int]:
        """Objects that must be re-identified before they are shown."""
        return [track_id for track_id, record in self._records.items() if record.needs_reid]

    def failed_reid(self, tracks: Iterable[Track], color: NDArray[np.uint8]) -> list[int]:
        """Return the tracks that need re-identification and do not resemble their object. Tracks that resemble it become verified.

        Args:
            tracks: tracks as predicted from memory on an image.
            color: the image, RGB uint8 [H, W, 3].
        """
        failed = []
        for track in tracks:
            record = self._records.get(track.id)
            if record is None or not record.needs_reid or track.box is None:
                continue
            if record.needs_redetection:
                failed.append(track.id)
            elif (
                record.appearance is None
                or appearance_similarity(appearance_of(color, track.mask), record.appearance) >= self.options.reid_threshold
            ):
                self.mark_verified(track.id)
            else:
                failed.append(track.id)
        return failed

    def reidentify(self, candidates: Sequence[tuple[str, Appearance | None]], absent: Collection[int]) -> dict[int, int]:
        """Assign new detections to absent objects of the same label, such that the sum of appearance similarities is maximal.

        Args:
            candidates: label and appearance of each new detection.
            absent: ids of the objects that are not visible.

        Returns:
            A dict from candidate index to track id. Each object is assigned at most once.
        """
        ids = [track_id for track_id in absent if track_id in self._records]
        if not candidates or not ids:
            return {}
        table = np.array(
            [[self._similarity(label, appearance, self._records[track_id]) for track_id in ids] for label, appearance in candidates]
        )
        rows, columns = linear_sum_assignment(table, maximize=True)
        assigned = {int(row): ids[column] for row, column in zip(rows, columns) if table[row, column] >= self.options.reid_threshold}
        self.reidentified += len(assigned)
        return assigned

    @staticmethod
    def _similarity(label: str, appearance: Appearance | None, record: _TrackRecord) -> float:
        return appearance_similarity(appearance, record.appearance) if label == record.label else 0.0

    @property
    def detected_areas(self) -> dict[int, float]:
        """Box areas of the last detections in square pixels, by track id."""
        return {track_id: record.detected_area for track_id, record in self._records.items() if record.detected_area is not None}

    def clear_detected_areas(self) -> None:
        """Delete the areas of the last detections, because the size of the images has changed."""
        for record in self._records.values():
            record.detected_area = None

    def record_detected_area(self, track_id: int, label: str, box: Box) -> None:
        """Record the area of a detection's box for its object, if their labels are equal."""
        record = self._records.get(track_id)
        if record is not None and record.label == label:
            record.detected_area = (box[2] - box[0]) * (box[3] - box[1])

    def record_fit(self, track_id: int, iou: float) -> bool:
        """Record the IoU of a detection's box and the box of its track, and return True after two loose fits in a row."""
        record = self._records.get(track_id)
        if record is None:
            return False
        record.loose_fits = record.loose_fits + 1 if iou < _LOOSE_IOU else 0
        if record.loose_fits < 2:
            return False
        record.loose_fits = 0
        return True

    def record_detection(self, matched: Collection[int], tracks: Iterable[Track], phrases: Collection[str]) -> list[int]:
        """Record the hits and misses of one detection run.

        Args:
            matched: ids of the tracks with a detection.
            tracks: tracks on the detected image.
            phrases: names that the detector looked for.

        Returns:
            Ids of tentative tracks that were false alarms.
        """
        false_alarms = []
        for track in tracks:
            record = self._records.get(track.id)
            if record is None or not record.from_detector or record.label not in phrases or (record.confirmed and track.box is None):
                continue
            if track.id in matched:
                record.hits, record.misses, record.needs_reid, record.needs_redetection = record.hits + 1, 0, False, False
                record.confirmed |= record.hits >= self.options.min_hits
            else:
                record.misses += 1
                if not record.confirmed and record.misses >= _FALSE_ALARM_MISSES:
                    false_alarms.append(track.id)
                elif self.options.max_misses and record.misses >= self.options.max_misses:
                    record.needs_reid, record.misses = True, 0
        self.false_alarms += len(false_alarms)
        return false_alarms

    def confirm_once(self, track_ids: Iterable[int]) -> None:
        """Confirm the objects of a prompt with a single detection run. Later runs count no hits or misses for them."""
        for track_id in track_ids:
            if track_id in self._records:
                self._records[track_id].confirmed = True
                self._records[track_id].from_detector = False

    def update(self, tracks: Sequence[Track], elapsed_s: float, phrases: Collection[str] = ()) -> list[int]:
        """Record the visibility of all objects on a finished frame.

        Args:
            tracks: tracks of the frame.
            elapsed_s: time since the previous frame in seconds.
            phrases: names that the detector looks for.

        Returns:
            Ids of tracks that are duplicates of another one and must be removed.
        """
        for track in tracks:
            record = self._records.get(track.id)
            if record is None:
                continue
            record.unseen_s = record.unseen_s + elapsed_s if track.box is None else 0.0
            if self.options.reid_after_s and record.unseen_s >= self.options.reid_after_s:
                record.needs_reid = True
        return self._find_duplicates(tracks, phrases)

    def update_appearance(self, tracks: Iterable[Track], color: NDArray[np.uint8]) -> None:
        """Update the appearance of the visible objects of a finished frame. Objects that differ from their model need re-identification.

        Args:
            tracks: tracks of the frame.
            color: image of the frame, RGB uint8 [H, W, 3].
        """
        for track in tracks:
            record = self._records.get(track.id)
            if record is not None and track.box is not None and not record.needs_reid:
                self._update_record(record, appearance_of(color, track.mask), track.predicted_iou >= CONFIDENT_IOU)

    def _update_record(self, record: _TrackRecord, appearance: Appearance | None, confident: bool) -> None:
        """Mix an appearance into the model of an object, or count a frame on which it differs from the model."""
        if appearance is None:
            return
        threshold = self.options.reid_threshold - _DISSIMILARITY_MARGIN
        dissimilar = record.appearance is not None and appearance_similarity(appearance, record.appearance) < threshold
        record.dissimilar_frames = record.dissimilar_frames + 1 if dissimilar else 0
        if record.dissimilar_frames >= _MAX_DISSIMILAR_FRAMES and self.options.reid_after_s > 0:
            record.needs_reid, record.dissimilar_frames = True, 0
        elif confident and not dissimilar:
            old = record.appearance
            mixed = appearance if old is None else _APPEARANCE_MOMENTUM * old + (1 - _APPEARANCE_MOMENTUM) * appearance
            record.appearance = mixed.astype(np.float32)

    def _find_duplicates(self, tracks: Sequence[Track], phrases: Collection[str]) -> list[int]:
        """Return the tracks that are duplicates of an older one, and update the relations of all pairs of tracks."""
        if not self.options.merge_frames:
            return []
        visible = sorted((track for track in tracks if track.box is not None), key=lambda track: track.id)
        boxes = np.array([track.box for track in visible], float).reshape(-1, 4)
        touching = box_iou(boxes, boxes) > 0
        duplicates = set()
        for index, older in enumerate(visible):
            for other, younger in enumerate(visible[index + 1 :], index + 1):
                if older.label != younger.label:
                    continue
                key = older.id, younger.id
                pair = self._pairs.get(key, _Pair())
                if not touching[index, other]:
                    pair = _Pair(pair.frames_apart + 1)
                elif track_iou(older, younger) >= _MERGE_IOU:
                    pair = _Pair(pair.frames_apart, pair.frames_together + 1, pair.score_difference + older.score - younger.score)
                else:
                    pair = _Pair(pair.frames_apart)
                if pair.frames_together >= self.options.merge_frames:
                    if pair.frames_apart < _APART_FRAMES:
                        duplicates.add(younger.id)
                    else:
                        self._suspect_id_switch(younger.id if pair.score_difference >= 0 else older.id, phrases)
                        pair = _Pair(pair.frames_apart)
                self._pairs[key] = pair
        self.merged += len(duplicates)
        return sorted(duplicates)

    def _suspect_id_switch(self, track_id: int, phrases: Collection[str]) -> None:
        """Require a new detection of a track that has probably moved to another object."""
        record = self._records.get(track_id)
        if record is not None and record.from_detector and record.label in phrases and self.options.reid_after_s > 0:
            record.needs_reid = record.needs_redetection = True
            self.suspected_id_switches += 1
