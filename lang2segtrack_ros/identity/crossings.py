# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Who is who after two objects have met.

While two objects touch, a segmenter's masks flow from one onto the other, and when the two part again both masks may cover both, or
each the wrong one. What an object looked like and how it moved before it was touched is not affected by that. So both are noted as
long as an object is alone, and frozen while it touches another. While two overlap, their pixels are shared out by colour (`sharing`);
when the pixels of both tracks have come apart into two parts again, each part goes to the object whose colour and course it continues,
and a track that covers anything else is to begin anew there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.appearance import mean_lab_of
from lang2segtrack_ros.identity.association import SURE_IOU, mask_iou
from lang2segtrack_ros.identity.color_model import ColorModel
from lang2segtrack_ros.identity.overlap_split import split_overlap
from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box, mask_box

_ALONE_FRAMES = 3  # an object must have been seen alone for so long to be known
_TRAJECTORY_FRAMES = 8  # its course is that of its latest frames
_MARGIN = 2.0  # pixels; boxes that come this close touch
_DEEP_IOU = 0.1  # boxes that overlap less have but grazed each other
_PART = 0.4  # of the smaller object's area: less is a splinter and no object
_SPLIT_FRAMES = 2  # two parts must be seen for so long
_FITS = 0.7  # mask IoU from which on a track is on its part already
_LAB_STD = 5.0  # standard deviation of a colour between frames, of 255, beside what was seen
_COLOR_GATE = 36.0  # squared standard deviations from which on a part's colour is not the object's at all
_CERTAIN = 1.0  # log of the odds below which the tracks' own word counts


@dataclass
class _ObjectModel:
    """An object as it was while it was alone.

    Attributes:
        tint, spread: mean and variance of its mean Lab colour, [3].
        area: of its mask in pixels.
        course: frame number and centre of its latest boxes.
        frames: on how many frames it was seen.
        coat: its colours in detail.
    """

    mean_lab: NDArray[np.float64]
    lab_variance: NDArray[np.float64]
    area: float
    trajectory: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=_TRAJECTORY_FRAMES))
    frames: int = 0
    color_model: ColorModel = field(default_factory=ColorModel)

    def update_appearance(self, frame: int, track: Track, mean_lab: NDArray[np.float64]) -> None:
        """Takes in one more frame."""
        assert track.box is not None
        self.frames += 1
        share = max(1 / self.frames, 0.05)
        off = mean_lab - self.mean_lab
        self.mean_lab = self.mean_lab + share * off
        self.lab_variance = (1 - share) * (self.lab_variance + share * off**2)
        self.area += share * (np.count_nonzero(track.mask) - self.area)
        x_min, y_min, x_max, y_max = track.box
        self.trajectory.append((frame, (x_min + x_max) / 2, (y_min + y_max) / 2))

    def predict(self, frame: int) -> tuple[NDArray[np.float64], float]:
        """Where it is on a later frame if it goes on, (x, y), and the standard deviation of that, in pixels."""
        table = np.array(self.trajectory)
        ages = table[:, 0] - table[-1, 0]
        slopes = np.polyfit(ages, table[:, 1:], 1)[0] if len(table) > 2 else np.zeros(2)
        ahead, size = frame - table[-1, 0], float(np.sqrt(self.area))
        deviation = 0.35 * size + ahead * (0.4 * float(np.linalg.norm(slopes)) + 0.02 * size)
        return table[-1, 1:] + ahead * slopes, deviation

    def color_distance(self, mean_lab: NDArray[np.float64]) -> float:
        """How far a colour is from its own, in squared standard deviations."""
        return float(np.sum((mean_lab - self.mean_lab) ** 2 / (_LAB_STD**2 + self.lab_variance)))

    def motion_distance(self, frame: int, centre: NDArray[np.float64]) -> float:
        """How far a place is from where it goes, likewise; beyond 3 it makes no difference."""
        predict, deviation = self.predict(frame)
        return min(float(np.sum((centre - predict) ** 2)) / deviation**2, 9.0)


@dataclass(frozen=True)
class _Crossing:
    """Since which frame two objects touch, whether they have overlapped, and for how many frames their pixels have been two parts."""

    since: int
    deep: bool
    split: int = 0


@dataclass(frozen=True)
class Assignment:
    """Where an object is after a meeting.

    Attributes:
        track_id: the object.
        part: which of the parts it is.
        fits: its track covers that part already.
    """

    track_id: int
    part: int
    fits: bool


@dataclass
class Crossings:
    """The objects of a session that touch, or have touched and are not told apart again."""

    resolved: int = 0
    corrected: int = 0
    _frame: int = 0
    _models: dict[int, _ObjectModel] = field(default_factory=dict)
    _open: dict[tuple[int, int], _Crossing] = field(default_factory=dict)

    def reset(self) -> None:
        """Forgets all objects."""
        self._models.clear()
        self._open.clear()

    def forget(self, track_id: int) -> None:
        """The object is gone for good."""
        self._models.pop(track_id, None)
        self._open = {pair: crossing for pair, crossing in self._open.items() if track_id not in pair}

    def update(self, tracks: Sequence[Track], color: NDArray[np.uint8]) -> dict[int, Box]:
        """Follows who meets whom on a frame with its image [H, W, 3], and settles who is who where two have parted.

        Returns:
            Tracks that cover the wrong pixels after a meeting, and the boxes on which they are to begin anew.
        """
        self._frame += 1
        seen = {track.id: track for track in tracks if track.box is not None}
        touching = self._touching(list(seen.values()))
        corrections: dict[int, Box] = {}
        for pair in sorted({*self._open, *touching}):
            if pair not in self._open:
                if all(track_id in self._models and self._models[track_id].frames >= _ALONE_FRAMES for track_id in pair):
                    self._open[pair] = _Crossing(self._frame, touching[pair] > _DEEP_IOU)
                continue
            crossing = self._open[pair]
            both = all(track_id in seen for track_id in pair)
            deep = crossing.deep or touching.get(pair, 0.0) > _DEEP_IOU or not both
            if both and not deep and pair not in touching:
                del self._open[pair]
                continue
            parts = self._parts(pair, seen) if deep else []
            split = crossing.split + 1 if len(parts) == len(pair) else 0
            self._open[pair] = _Crossing(crossing.since, deep, split)
            if split >= _SPLIT_FRAMES:
                wrong = [assignment for assignment in self.resolve(pair, parts, tracks, color) or [] if not assignment.fits]
                boxes = [(assignment.track_id, mask_box(parts[assignment.part])) for assignment in wrong]
                corrections |= {track_id: box for track_id, box in boxes if box is not None}
        return corrections

    def update_appearance(self, tracks: Sequence[Track], color: NDArray[np.uint8], exposure: float) -> None:
        """Notes what those look like that are alone on the frame that `update` has had, and where they are; `tracks` as set right.

        `light`: of the frame's image, see `scene_cut.SceneCutDetector`.
        """
        seen = [track for track in tracks if track.box is not None]
        busy = {track_id for pair in (*self._open, *self._touching(seen)) for track_id in pair}
        for track in seen:
            if track.id not in busy and track.predicted_iou >= SURE_IOU:
                self._update_one(track, color, exposure)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Objects that overlap, or have overlapped and are not told apart yet."""
        return [pair for pair, crossing in self._open.items() if crossing.deep]

    def split_overlap(
        self, tracks: Sequence[Track], color: NDArray[np.uint8], exposure: float
    ) -> list[tuple[tuple[int, int], NDArray[np.float32]]]:
        """Whose the pixels of objects that overlap are, as far as their colours tell.

        Args:
            tracks: as memory proposes them on an image.
            color: the image, [H, W, 3].
            light: of it.

        Returns:
            For pairs of which both are seen, float32 [H, W] from 1, the first one's, to -1, the second one's; 0 is not decided.
        """
        seen = {track.id: track.mask for track in tracks if track.box is not None}
        shares = []
        for one, other in self.pairs:
            if one in seen and other in seen:
                color_models = self._models[one].color_model, self._models[other].color_model
                shares.append(((one, other), split_overlap(color, seen[one] | seen[other], color_models, exposure)))
        return shares

    def _update_one(self, track: Track, color: NDArray[np.uint8], exposure: float) -> None:
        mean_lab = mean_lab_of(color, track.mask)
        if mean_lab is None:
            return
        if track.id not in self._models:
            self._models[track.id] = _ObjectModel(mean_lab, np.zeros(3), float(np.count_nonzero(track.mask)))
        self._models[track.id].update_appearance(self._frame, track, mean_lab)
        self._models[track.id].color_model.update(color, track.mask, exposure)

    @staticmethod
    def _touching(tracks: Sequence[Track]) -> dict[tuple[int, int], float]:
        """Pairs of tracks whose boxes touch, and the boxes' IoU. In plain numbers: `box_iou` takes ten times as long for a few boxes."""
        boxes = sorted((track.id, track.box) for track in tracks if track.box is not None)
        near = {}
        for (one, (left, top, right, bottom)), (other, (x_min, y_min, x_max, y_max)) in combinations(boxes, 2):
            width, height = min(right, x_max) - max(left, x_min), min(bottom, y_max) - max(top, y_min)
            if min(width, height) > -_MARGIN:
                shared = max(width, 0.0) * max(height, 0.0)
                near[one, other] = shared / ((right - left) * (bottom - top) + (x_max - x_min) * (y_max - y_min) - shared)
        return near

    def _parts(self, pair: tuple[int, int], seen: dict[int, Track]) -> list[NDArray[np.bool_]]:
        """Connected parts of the pixels of both tracks that are large enough for an object."""
        masks = [seen[track_id].mask for track_id in pair if track_id in seen]
        if not masks:
            return []
        _, labels, stats, _ = cv2.connectedComponentsWithStats(np.logical_or.reduce(masks).view(np.uint8), connectivity=8)
        least = _PART * min(self._models[track_id].area for track_id in pair)
        return [labels == index for index in range(1, len(stats)) if stats[index, cv2.CC_STAT_AREA] >= least]

    def resolve(
        self, pair: tuple[int, int], parts: Sequence[NDArray[np.bool_]], tracks: Iterable[Track], color: NDArray[np.uint8], late: int = 0
    ) -> list[Assignment] | None:
        """Ends a meeting on an image [H, W, 3] on which both objects are seen apart.

        Args:
            pair: the objects.
            parts: bool [H, W] masks of two things, each one of the objects.
            tracks: of that image; the pair's need not be among them.
            color: the image.
            late: how many frames before the latest one learnt from; -1 for the one after it.

        Returns:
            The place of each object of the pair; None, and the meeting goes on, when a part is neither of them, or the image is from
            before they met.
        """
        frame = self._frame - late
        if frame <= self._open[pair].since:
            return None
        models = [self._models[track_id] for track_id in pair]
        masks = {track.id: track.mask for track in tracks if track.box is not None}
        lab_means = [mean_lab_of(color, part) for part in parts]
        centres = [_centre(part) for part in parts]
        # float64 [objects, parts], all three
        color_distance = np.array(
            [[model.color_distance(mean_lab) if mean_lab is not None else np.inf for mean_lab in lab_means] for model in models]
        )
        motion_distance = np.array([[model.motion_distance(frame, centre) for centre in centres] for model in models])
        fit = np.array([[mask_iou(masks[track_id], part) if track_id in masks else 0.0 for part in parts] for track_id in pair])
        gain = (np.trace(np.fliplr(color_distance + motion_distance)) - np.trace(color_distance + motion_distance)) / 2
        if abs(gain) < _CERTAIN:
            gain = np.trace(fit) - np.trace(np.fliplr(fit))
        order = (0, 1) if gain >= 0 else (1, 0)
        if any(color_distance[row, part] > _COLOR_GATE for row, part in enumerate(order)):
            return None
        sure = {track.id for track in tracks if track.predicted_iou >= SURE_IOU}
        fits = [track_id in sure and fit[row, part] >= _FITS for row, (track_id, part) in enumerate(zip(pair, order))]
        assignments = [Assignment(track_id, part, bool(fits[row])) for row, (track_id, part) in enumerate(zip(pair, order))]
        self.resolved += 1
        self.corrected += sum(not assignment.fits for assignment in assignments)
        del self._open[pair]
        return assignments

    def snapshot(self) -> Snapshot:
        """Everything as it is now."""
        models: list[tuple[object, tuple[str, ...]]] = [
            (model, ("mean_lab", "lab_variance", "area", "trajectory", "frames")) for model in self._models.values()
        ]
        models += [(model.color_model, ("samples", "area")) for model in self._models.values()]
        return Snapshot([(self, ("resolved", "corrected", "_frame", "_models", "_open")), *models], copied=(deque,))


def _centre(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return np.array([x + width / 2, y + height / 2])
