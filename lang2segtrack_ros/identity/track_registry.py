# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of every object beyond the last image: how it looks, whether it is confirmed, whether it can be trusted.

The tracker says where an object is; this says whether it is still the same object. Rules, each with its parameter:

* An object found by the detector is tentative until the detector has found it `min_hits` times, for which it looks twice as
  often; one that it does not find again on three looks after the first was a false alarm and goes. Objects that a user pointed at are
  confirmed at once.
* An object that was away for `reid_after_s`, or any object after a scene cut, is doubted: it counts as hidden until what the tracker
  shows looks like it (`reid_threshold`), or the detector finds it again. After a cut, colours are not enough for an object that the
  detector looks for: it must be found.
* An object that looks unlike itself for three frames in a row is doubted too: its track has slipped onto something else.
* An object of a continuous prompt that the tracker shows and the detector does not find on `max_misses` looks in a row is doubted as
  well: it may have drifted onto something else.
* A detection of no visible object is an unseen one of the same label when they look alike; several are settled jointly.
* A track whose box fits its detection badly on two looks in a row, or once when it is but an unsure remnant or has swollen over its
  neighbours, is set onto the detection, under its id.
* Two tracks of one label on the same pixels for `merge_frames` frames are one object, and the older id stays. If they were seen apart
  before, they are two, and one has slipped onto the other: if the detector looks for them, the less sure one has to be found again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.identity.appearance import Appearance, appearance_of, appearance_similarity
from lang2segtrack_ros.identity.association import SURE_IOU, box_iou, track_iou
from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

_MEMORY = 0.95  # how much of the remembered appearance stays when a new look is mixed in
_FALSE_ALARM_LOOKS = 3
_MERGE_IOU = 0.7
_UNLIKE = 0.2  # how far below `reid_threshold` an object's looks must fall while it is followed
_UNLIKE_FRAMES = 3
_APART_FRAMES = 5  # frames on which two tracks must have been seen apart to be two objects
_LOOSE_IOU = 0.6  # a detection and its track's box that overlap less do not fit


@dataclass(frozen=True)
class IdentityOptions:
    """Parameters of the rules above.

    Attributes:
        min_hits: detections that make a found object real; 1 announces it at once.
        reid_after_s: absence after which an object must be recognised; 0 never doubts.
        reid_threshold: 0..1, least likeness of the same object.
        max_misses: looks without a detection after which a visible object is doubted; 0 never.
        merge_frames: frames on the same pixels after which two tracks become one; 0 never.
        resolve_crossings: settle by colour and course which of two objects is which after they have met, see `meetings`.
    """

    min_hits: int = 2
    reid_after_s: float = 1.0
    reid_threshold: float = 0.8
    max_misses: int = 6
    merge_frames: int = 4
    resolve_crossings: bool = True


@dataclass
class _Known:
    label: str
    confirmed: bool
    found: bool  # by a detector, not pointed at by a user
    hits: int = 1
    misses: int = 0
    unseen_s: float = 0.0
    loose_fits: int = 0
    unlike: int = 0
    needs_reid: bool = False
    needs_redetection: bool = False  # looks alone do not end the doubt
    detected_area: float | None = None  # of the box in which the detector found it last, in square pixels
    appearance: Appearance | None = None


@dataclass(frozen=True)
class _Pair:
    """Two tracks of one label, the older one first: on how many frames they were seen apart, and on the same pixels in a row."""

    apart: int = 0
    together: int = 0
    surer: float = 0.0  # how much more sure the older one is than the younger, summed over the frames together


@dataclass
class TrackRegistry:
    """The objects of a session by track id."""

    options: IdentityOptions = field(default_factory=IdentityOptions)
    merged: int = 0
    reidentified: int = 0
    false_alarms: int = 0
    suspected_id_switches: int = 0
    _known: dict[int, _Known] = field(default_factory=dict)
    _pairs: dict[tuple[int, int], _Pair] = field(default_factory=dict)

    def add(self, track_id: int, label: str, found: bool) -> None:
        """A new object; `found` by the detector rather than pointed at."""
        self._known[track_id] = _Known(label, confirmed=not found or self.options.min_hits <= 1, found=found)

    def confirm_by_user(self, track_id: int, label: str) -> str:
        """The user has said where an object is, and what it is where `label` is not empty; returns its label."""
        known = self._known[track_id]
        known.confirmed, known.label = True, label or known.label
        self.mark_verified(track_id)
        return known.label

    def mark_verified(self, track_id: int) -> None:
        """The user, or the detector, has said where the object is."""
        known = self._known.get(track_id)
        if known is not None:
            known.needs_reid, known.needs_redetection, known.unseen_s, known.misses = False, False, 0.0, 0

    def forget(self, track_id: int) -> None:
        """The object is gone for good."""
        self._known.pop(track_id, None)
        self._pairs = {pair: seen for pair, seen in self._pairs.items() if track_id not in pair}

    def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        objects: list[tuple[object, tuple[str, ...]]] = [(known, tuple(vars(known))) for known in self._known.values()]
        return Snapshot([(self, ("merged", "reidentified", "false_alarms", "suspected_id_switches", "_known", "_pairs")), *objects])

    def reset(self) -> None:
        """Forgets all objects."""
        self._known.clear()
        self._pairs.clear()

    def is_confirmed(self, track_id: int) -> bool:
        """False for an object that is not to be announced yet."""
        known = self._known.get(track_id)
        return known is None or known.confirmed

    def unconfirmable(self, phrases: Collection[str]) -> list[int]:
        """Objects that have not been announced, and that no look can confirm any more: nobody looks for them but with these phrases."""
        return [track_id for track_id, known in self._known.items() if not known.confirmed and known.label not in phrases]

    @property
    def unconfirmed_labels(self) -> set[str]:
        """Labels of objects that have not been announced."""
        return {known.label for known in self._known.values() if not known.confirmed}

    def require_reid(self, phrases: Collection[str] = ()) -> None:
        """After a scene cut nothing is what it was; what the detector looks for (`phrases`) it has to find again."""
        if self.options.reid_after_s > 0:
            for known in self._known.values():
                known.needs_reid = True
                known.needs_redetection = known.found and known.label in phrases

    @property
    def needs_reid(self) -> list[int]:
        """Objects that must be recognised before they are shown."""
        return [track_id for track_id, known in self._known.items() if known.needs_reid]

    def failed_reid(self, tracks: Iterable[Track], color: NDArray[np.uint8]) -> list[int]:
        """Which tracks, as memory proposes them on an image [H, W, 3], are doubted and do not look like their object.

        Those that do are trusted again.
        """
        strange = []
        for track in tracks:
            known = self._known.get(track.id)
            if known is None or not known.needs_reid or track.box is None:
                continue
            if known.needs_redetection:
                strange.append(track.id)
            elif (
                known.appearance is None
                or appearance_similarity(appearance_of(color, track.mask), known.appearance) >= self.options.reid_threshold
            ):
                self.mark_verified(track.id)
            else:
                strange.append(track.id)
        return strange

    def reidentify(self, newcomers: Sequence[tuple[str, Appearance | None]], absent: Collection[int]) -> dict[int, int]:
        """Which newcomers, (label, appearance) each, are absent objects: newcomer's index to track id, at most one each, alikest first."""
        ids = [track_id for track_id in absent if track_id in self._known]
        if not newcomers or not ids:
            return {}
        table = np.array([[self._alike(label, seen, self._known[track_id]) for track_id in ids] for label, seen in newcomers])
        rows, columns = linear_sum_assignment(table, maximize=True)
        found = {int(row): ids[column] for row, column in zip(rows, columns) if table[row, column] >= self.options.reid_threshold}
        self.reidentified += len(found)
        return found

    @staticmethod
    def _alike(label: str, seen: Appearance | None, known: _Known) -> float:
        return appearance_similarity(seen, known.appearance) if label == known.label else 0.0

    @property
    def detected_areas(self) -> dict[int, float]:
        """Areas of the boxes, in square pixels, in which the detector found objects last, by track id."""
        return {track_id: known.detected_area for track_id, known in self._known.items() if known.detected_area is not None}

    def clear_detected_areas(self) -> None:
        """Images have another size from now on."""
        for known in self._known.values():
            known.detected_area = None

    def record_detected_area(self, track_id: int, label: str, box: Box) -> None:
        """Notes the box in which the detector found an object of this label."""
        known = self._known.get(track_id)
        if known is not None and known.label == label:
            known.detected_area = (box[2] - box[0]) * (box[3] - box[1])

    def loose_fits(self, track_id: int, overlap: float) -> bool:
        """Notes how well a detection's box fits its track's; True when it has fitted badly on two looks in a row."""
        known = self._known.get(track_id)
        if known is None:
            return False
        known.loose_fits = known.loose_fits + 1 if overlap < _LOOSE_IOU else 0
        if known.loose_fits < 2:
            return False
        known.loose_fits = 0
        return True

    def record_detection(self, matched: Collection[int], tracks: Iterable[Track], phrases: Collection[str]) -> list[int]:
        """Notes a look of the detector for `phrases` and the tracks it matched; returns tentative tracks that were false alarms."""
        gone = []
        for track in tracks:
            known = self._known.get(track.id)
            if known is None or not known.found or known.label not in phrases or (known.confirmed and track.box is None):
                continue
            if track.id in matched:
                known.hits, known.misses, known.needs_reid, known.needs_redetection = known.hits + 1, 0, False, False
                known.confirmed |= known.hits >= self.options.min_hits
            else:
                known.misses += 1
                if not known.confirmed and known.misses >= _FALSE_ALARM_LOOKS:
                    gone.append(track.id)
                elif self.options.max_misses and known.misses >= self.options.max_misses:
                    known.needs_reid, known.misses = True, 0
        self.false_alarms += len(gone)
        return gone

    def confirm_once(self, track_ids: Iterable[int]) -> None:
        """Objects of a prompt that looks once are not looked for again: they are real at once."""
        for track_id in track_ids:
            if track_id in self._known:
                self._known[track_id].confirmed = True
                self._known[track_id].found = False

    def update(self, tracks: Sequence[Track], elapsed_s: float, phrases: Collection[str] = ()) -> list[int]:
        """Notes who is seen on a finished frame; returns ids of tracks that are another's double and are to go.

        `phrases`: what the detector looks for.
        """
        for track in tracks:
            known = self._known.get(track.id)
            if known is None:
                continue
            known.unseen_s = known.unseen_s + elapsed_s if track.box is None else 0.0
            if self.options.reid_after_s and known.unseen_s >= self.options.reid_after_s:
                known.needs_reid = True
        return self._find_duplicates(tracks, phrases)

    def update_appearance(self, tracks: Iterable[Track], color: NDArray[np.uint8]) -> None:
        """Notes what the visible objects of a finished frame look like on its image [H, W, 3]; doubts those unlike themselves."""
        for track in tracks:
            known = self._known.get(track.id)
            if known is not None and track.box is not None and not known.needs_reid:
                self._update_one(known, appearance_of(color, track.mask), track.predicted_iou >= SURE_IOU)

    def _update_one(self, known: _Known, seen: Appearance | None, sure: bool) -> None:
        """Mixes what is seen of an object into what is known, or counts that it does not look like itself any more."""
        if seen is None:
            return
        unlike = known.appearance is not None and appearance_similarity(seen, known.appearance) < self.options.reid_threshold - _UNLIKE
        known.unlike = known.unlike + 1 if unlike else 0
        if known.unlike >= _UNLIKE_FRAMES and self.options.reid_after_s > 0:
            known.needs_reid, known.unlike = True, 0
        elif sure and not unlike:
            mixed = seen if known.appearance is None else _MEMORY * known.appearance + (1 - _MEMORY) * seen
            known.appearance = mixed.astype(np.float32)

    def _find_duplicates(self, tracks: Sequence[Track], phrases: Collection[str]) -> list[int]:
        if not self.options.merge_frames:
            return []
        seen = sorted((track for track in tracks if track.box is not None), key=lambda track: track.id)
        boxes = np.array([track.box for track in seen], float).reshape(-1, 4)
        touching = box_iou(boxes, boxes) > 0
        duplicates = set()
        for index, older in enumerate(seen):
            for other, younger in enumerate(seen[index + 1 :], index + 1):
                if older.label != younger.label:
                    continue
                key = older.id, younger.id
                pair = self._pairs.get(key, _Pair())
                if not touching[index, other]:
                    pair = _Pair(pair.apart + 1)
                elif track_iou(older, younger) >= _MERGE_IOU:
                    pair = _Pair(pair.apart, pair.together + 1, pair.surer + older.score - younger.score)
                else:
                    pair = _Pair(pair.apart)
                if pair.together >= self.options.merge_frames:
                    if pair.apart < _APART_FRAMES:
                        duplicates.add(younger.id)
                    else:
                        self._suspect_id_switch(younger.id if pair.surer >= 0 else older.id, phrases)
                        pair = _Pair(pair.apart)
                self._pairs[key] = pair
        self.merged += len(duplicates)
        return sorted(duplicates)

    def _suspect_id_switch(self, track_id: int, phrases: Collection[str]) -> None:
        known = self._known.get(track_id)
        if known is not None and known.found and known.label in phrases and self.options.reid_after_s > 0:
            known.needs_reid = known.needs_redetection = True
            self.suspected_id_switches += 1
