# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Identity of two objects after a crossing.

While two objects touch, the masks of a segmenter spread from one object to the other. When the objects separate, both masks may cover
both objects, or each mask the wrong object. The color and the motion from before the crossing remain valid. An object model therefore
learns both while its object is alone, and is frozen while the object touches another one.

While two objects overlap, their pixels are split by color (`overlap_split`). When the pixels of both tracks have separated into two
parts, each part is assigned to the object whose color and trajectory it continues. A track that does not cover its part is
reinitialized there.
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
from lang2segtrack_ros.identity.association import CONFIDENT_IOU, mask_iou
from lang2segtrack_ros.identity.color_model import ColorModel
from lang2segtrack_ros.identity.overlap_split import split_overlap
from lang2segtrack_ros.runtime.snapshot import Snapshot
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box, mask_box

_MIN_ALONE_FRAMES = 3  # frames on which an object must have been alone to have a model
_TRAJECTORY_FRAMES = 8  # number of latest frames in a trajectory
_TOUCH_MARGIN = 2.0  # pixels; boxes at this distance or closer touch
_MIN_OVERLAP_IOU = 0.1  # boxes with a lower IoU touch without overlap
_MIN_PART_RATIO = 0.4  # minimum area of a part, relative to the smaller object
_MIN_SPLIT_FRAMES = 2  # consecutive frames with two parts before a crossing is resolved
_FIT_IOU = 0.7  # mask IoU from which a track covers its part
_LAB_STD = 5.0  # standard deviation of a color between frames, on a scale of 0..255, in addition to the measured variance
_COLOR_GATE = 36.0  # squared standard deviations above which a part cannot be the object
_MIN_LOG_ODDS = 1.0  # log odds below which the masks of the tracks decide


@dataclass
class _ObjectModel:
    """Color and motion of an object, from the frames on which it was alone.

    Attributes:
        mean_lab: [3], running mean of its mean color in CIE Lab.
        lab_variance: [3], running variance of this color.
        area: running mean of its mask area in pixels.
        trajectory: frame number and box center (x, y) in pixels on the latest frames.
        frames: number of frames in the model.
        color_model: detailed distribution of its colors.
    """

    mean_lab: NDArray[np.float64]
    lab_variance: NDArray[np.float64]
    area: float
    trajectory: deque[tuple[int, float, float]] = field(default_factory=lambda: deque(maxlen=_TRAJECTORY_FRAMES))
    frames: int = 0
    color_model: ColorModel = field(default_factory=ColorModel)

    def update_appearance(self, frame: int, track: Track, mean_lab: NDArray[np.float64]) -> None:
        """Add one frame to the model."""
        assert track.box is not None
        self.frames += 1
        weight = max(1 / self.frames, 0.05)
        difference = mean_lab - self.mean_lab
        self.mean_lab = self.mean_lab + weight * difference
        self.lab_variance = (1 - weight) * (self.lab_variance + weight * difference**2)
        self.area += weight * (np.count_nonzero(track.mask) - self.area)
        x_min, y_min, x_max, y_max = track.box
        self.trajectory.append((frame, (x_min + x_max) / 2, (y_min + y_max) / 2))

    def predict(self, frame: int) -> tuple[NDArray[np.float64], float]:
        """Extrapolate the trajectory to a later frame; return the center (x, y) and its standard deviation, both in pixels."""
        table = np.array(self.trajectory)
        ages = table[:, 0] - table[-1, 0]
        velocity = np.polyfit(ages, table[:, 1:], 1)[0] if len(table) > 2 else np.zeros(2)
        frames_ahead, size = frame - table[-1, 0], float(np.sqrt(self.area))
        deviation = 0.35 * size + frames_ahead * (0.4 * float(np.linalg.norm(velocity)) + 0.02 * size)
        return table[-1, 1:] + frames_ahead * velocity, deviation

    def color_distance(self, mean_lab: NDArray[np.float64]) -> float:
        """Return the distance of a CIE Lab color from the model in squared standard deviations."""
        return float(np.sum((mean_lab - self.mean_lab) ** 2 / (_LAB_STD**2 + self.lab_variance)))

    def motion_distance(self, frame: int, center: NDArray[np.float64]) -> float:
        """Return the distance of a center from the predicted one in squared standard deviations, limited to 9."""
        predicted, deviation = self.predict(frame)
        return min(float(np.sum((center - predicted) ** 2)) / deviation**2, 9.0)


@dataclass(frozen=True)
class _Crossing:
    """The state of a crossing of two objects.

    Attributes:
        first_frame: frame number since which the objects touch.
        has_overlapped: True after the objects have overlapped.
        split_frames: number of consecutive frames on which their pixels formed two parts.
    """

    first_frame: int
    has_overlapped: bool
    split_frames: int = 0


@dataclass(frozen=True)
class Assignment:
    """The part of an object after a crossing.

    Attributes:
        track_id: id of the object.
        part: index of its part.
        fits: True if the track of the object covers this part already.
    """

    track_id: int
    part: int
    fits: bool


@dataclass
class Crossings:
    """The open crossings of a session, and the object models to resolve them."""

    resolved: int = 0
    corrected: int = 0
    _frame: int = 0
    _models: dict[int, _ObjectModel] = field(default_factory=dict)
    _open: dict[tuple[int, int], _Crossing] = field(default_factory=dict)

    def reset(self) -> None:
        """Remove all objects."""
        self._models.clear()
        self._open.clear()

    def forget(self, track_id: int) -> None:
        """Remove an object with its model and its crossings."""
        self._models.pop(track_id, None)
        self._open = {pair: crossing for pair, crossing in self._open.items() if track_id not in pair}

    def update(self, tracks: Sequence[Track], color: NDArray[np.uint8]) -> dict[int, Box]:
        """Open, update and resolve crossings on a frame.

        Args:
            tracks: tracks of the frame.
            color: image of the frame, RGB uint8 [H, W, 3].

        Returns:
            The boxes on which tracks must be reinitialized, by id. These tracks cover the wrong pixels after a crossing.
        """
        self._frame += 1
        visible = {track.id: track for track in tracks if track.box is not None}
        touching = self._touching(list(visible.values()))
        corrections: dict[int, Box] = {}
        for pair in sorted({*self._open, *touching}):
            if pair not in self._open:
                if all(track_id in self._models and self._models[track_id].frames >= _MIN_ALONE_FRAMES for track_id in pair):
                    self._open[pair] = _Crossing(self._frame, touching[pair] > _MIN_OVERLAP_IOU)
                continue
            crossing = self._open[pair]
            both_visible = all(track_id in visible for track_id in pair)
            has_overlapped = crossing.has_overlapped or touching.get(pair, 0.0) > _MIN_OVERLAP_IOU or not both_visible
            if both_visible and not has_overlapped and pair not in touching:
                del self._open[pair]
                continue
            parts = self._parts(pair, visible) if has_overlapped else []
            split_frames = crossing.split_frames + 1 if len(parts) == len(pair) else 0
            self._open[pair] = _Crossing(crossing.first_frame, has_overlapped, split_frames)
            if split_frames >= _MIN_SPLIT_FRAMES:
                wrong = [assignment for assignment in self.resolve(pair, parts, tracks, color) or [] if not assignment.fits]
                boxes = [(assignment.track_id, mask_box(parts[assignment.part])) for assignment in wrong]
                corrections |= {track_id: box for track_id, box in boxes if box is not None}
        return corrections

    def update_appearance(self, tracks: Sequence[Track], color: NDArray[np.uint8], exposure: float) -> None:
        """Update the models of the objects that are alone on the frame of the last `update`.

        Args:
            tracks: tracks of the frame, after corrections.
            color: image of the frame, RGB uint8 [H, W, 3].
            exposure: exposure of the image, see `scene_cut.SceneCutDetector`.
        """
        visible = [track for track in tracks if track.box is not None]
        not_alone = {track_id for pair in (*self._open, *self._touching(visible)) for track_id in pair}
        for track in visible:
            if track.id not in not_alone and track.predicted_iou >= CONFIDENT_IOU:
                self._update_model(track, color, exposure)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of objects that overlap, or that have overlapped in a crossing that is not resolved yet."""
        return [pair for pair, crossing in self._open.items() if crossing.has_overlapped]

    def split_overlap(
        self, tracks: Sequence[Track], color: NDArray[np.uint8], exposure: float
    ) -> list[tuple[tuple[int, int], NDArray[np.float32]]]:
        """Compute the pixel ownership of overlapping objects from their colors.

        Args:
            tracks: tracks as predicted from memory on an image.
            color: the image, RGB uint8 [H, W, 3].
            exposure: exposure of the image.

        Returns:
            For each pair with two visible tracks, float32 [H, W] from 1 (first object) to -1 (second object), 0 for undecided pixels.
        """
        masks = {track.id: track.mask for track in tracks if track.box is not None}
        splits = []
        for one, other in self.pairs:
            if one in masks and other in masks:
                color_models = self._models[one].color_model, self._models[other].color_model
                splits.append(((one, other), split_overlap(color, masks[one] | masks[other], color_models, exposure)))
        return splits

    def _update_model(self, track: Track, color: NDArray[np.uint8], exposure: float) -> None:
        mean_lab = mean_lab_of(color, track.mask)
        if mean_lab is None:
            return
        if track.id not in self._models:
            self._models[track.id] = _ObjectModel(mean_lab, np.zeros(3), float(np.count_nonzero(track.mask)))
        self._models[track.id].update_appearance(self._frame, track, mean_lab)
        self._models[track.id].color_model.update(color, track.mask, exposure)

    @staticmethod
    def _touching(tracks: Sequence[Track]) -> dict[tuple[int, int], float]:
        """Return the box IoU of each pair of tracks whose boxes touch.

        The code uses Python numbers, because `box_iou` takes ten times as long for a few boxes.
        """
        boxes = sorted((track.id, track.box) for track in tracks if track.box is not None)
        touching = {}
        for (one, (left, top, right, bottom)), (other, (x_min, y_min, x_max, y_max)) in combinations(boxes, 2):
            width, height = min(right, x_max) - max(left, x_min), min(bottom, y_max) - max(top, y_min)
            if min(width, height) > -_TOUCH_MARGIN:
                shared = max(width, 0.0) * max(height, 0.0)
                touching[one, other] = shared / ((right - left) * (bottom - top) + (x_max - x_min) * (y_max - y_min) - shared)
        return touching

    def _parts(self, pair: tuple[int, int], visible: dict[int, Track]) -> list[NDArray[np.bool_]]:
        """Return the connected components of the pixels of both tracks that are large enough for an object."""
        masks = [visible[track_id].mask for track_id in pair if track_id in visible]
        if not masks:
            return []
        _, labels, stats, _ = cv2.connectedComponentsWithStats(np.logical_or.reduce(masks).view(np.uint8), connectivity=8)
        min_area = _MIN_PART_RATIO * min(self._models[track_id].area for track_id in pair)
        return [labels == index for index in range(1, len(stats)) if stats[index, cv2.CC_STAT_AREA] >= min_area]

    def resolve(
        self,
        pair: tuple[int, int],
        parts: Sequence[NDArray[np.bool_]],
        tracks: Iterable[Track],
        color: NDArray[np.uint8],
        frames_ago: int = 0,
    ) -> list[Assignment] | None:
        """Resolve a crossing on an image that shows both objects apart.

        Args:
            pair: ids of the objects.
            parts: bool [H, W] masks of two parts, one for each object.
            tracks: tracks on that image, with or without the tracks of the pair.
            color: the image, RGB uint8 [H, W, 3].
            frames_ago: age of the image in frames, relative to the last `update`; -1 for the next frame.

        Returns:
            The assignment of each object. None if a part is neither of the objects, or if the image is older than the crossing. Then
            the crossing stays open.
        """
        frame = self._frame - frames_ago
        if frame <= self._open[pair].first_frame:
            return None
        models = [self._models[track_id] for track_id in pair]
        masks = {track.id: track.mask for track in tracks if track.box is not None}
        lab_means = [mean_lab_of(color, part) for part in parts]
        centers = [_center(part) for part in parts]
        # All three tables are float64 [objects, parts].
        color_distance = np.array(
            [[model.color_distance(mean_lab) if mean_lab is not None else np.inf for mean_lab in lab_means] for model in models]
        )
        motion_distance = np.array([[model.motion_distance(frame, center) for center in centers] for model in models])
        fit = np.array([[mask_iou(masks[track_id], part) if track_id in masks else 0.0 for part in parts] for track_id in pair])
        # Positive evidence keeps the order of the parts, negative evidence swaps them.
        evidence = (np.trace(np.fliplr(color_distance + motion_distance)) - np.trace(color_distance + motion_distance)) / 2
        if abs(evidence) < _MIN_LOG_ODDS:
            evidence = np.trace(fit) - np.trace(np.fliplr(fit))
        order = (0, 1) if evidence >= 0 else (1, 0)
        if any(color_distance[row, part] > _COLOR_GATE for row, part in enumerate(order)):
            return None
        confident = {track.id for track in tracks if track.predicted_iou >= CONFIDENT_IOU}
        fits = [track_id in confident and fit[row, part] >= _FIT_IOU for row, (track_id, part) in enumerate(zip(pair, order))]
        assignments = [Assignment(track_id, part, bool(fits[row])) for row, (track_id, part) in enumerate(zip(pair, order))]
        self.resolved += 1
        self.corrected += sum(not assignment.fits for assignment in assignments)
        del self._open[pair]
        return assignments

    def snapshot(self) -> Snapshot:
        """Return a snapshot of the whole state."""
        models: list[tuple[object, tuple[str, ...]]] = [
            (model, ("mean_lab", "lab_variance", "area", "trajectory", "frames")) for model in self._models.values()
        ]
        models += [(model.color_model, ("samples", "area")) for model in self._models.values()]
        return Snapshot([(self, ("resolved", "corrected", "_frame", "_models", "_open")), *models], copied=(deque,))


def _center(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return np.array([x + width / 2, y + height / 2])
