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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.identity.association import CONFIDENT_IOU
from lang2segtrack_ros.identity.object_model import ObjectModel
from lang2segtrack_ros.identity.overlap_split import split_overlap
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.track_state import Pair, Tracks, TrackState
from lang2segtrack_ros.segmentation.shrinking import Patch
from lang2segtrack_ros.types.options import option
from lang2segtrack_ros.types.results import Track

_MIN_ALONE_FRAMES = 3  # frames on which an object must have been alone to have a model
_TOUCH_MARGIN = 2.0  # pixels; boxes at this distance or closer touch
_MIN_OVERLAP_IOU = 0.1  # boxes with a lower IoU touch without overlap
_MIN_PART_RATIO = 0.4  # minimum area of a part, relative to the smaller object
_MIN_SPLIT_FRAMES = 2  # consecutive frames with two parts before a crossing is resolved
_FIT_IOU = 0.7  # mask IoU from which a track covers its part
_COLOR_GATE = 36.0  # squared standard deviations above which a part cannot be the object
_MIN_LOG_ODDS = 1.0  # log odds below which the masks of the tracks decide


@dataclass(frozen=True)
class CrossingOptions:
    """Options of the rules for crossings."""

    resolve_crossings: bool = option(
        True, "After two objects cross, decide by color and motion which one is which. Set to false to disable."
    )


@dataclass(frozen=True)
class Crossing:
    """The state of a crossing of two objects.

    Attributes:
        first_frame: frame number since which the objects touch.
        has_overlapped: True after the objects have overlapped.
        split_frames: number of consecutive frames on which their pixels formed two parts.
    """

    first_frame: int
    has_overlapped: bool
    split_frames: int = 0


Crossings = Mapping[Pair, Crossing]
"""The open crossings by pair of ids."""


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


def unresolved_pairs(crossings: Crossings) -> list[Pair]:
    """Return the pairs of objects that overlap, or that have overlapped in a crossing that is not resolved yet."""
    return [pair for pair, crossing in crossings.items() if crossing.has_overlapped]


def without(crossings: Crossings, track_id: int) -> dict[Pair, Crossing]:
    """Return the crossings of the other objects."""
    return {pair: crossing for pair, crossing in crossings.items() if track_id not in pair}


def next_crossings(
    crossings: Crossings, states: Tracks, tracks: Iterable[Track], frame: int
) -> tuple[dict[Pair, Crossing], dict[Pair, list[Region]]]:
    """Open, update and close crossings on a frame.

    Args:
        crossings: the open crossings before the frame.
        states: states of the objects by id.
        tracks: tracks of the frame.
        frame: frame number.

    Returns:
        The open crossings, and the two parts of each crossing that can be resolved on this frame.
    """
    visible = {track.id: track for track in tracks if track.box is not None}
    touching = touching_pairs(visible.values())
    regions: dict[int, list[Region]] = {}
    updated, separated = dict(crossings), {}
    for pair in sorted({*crossings, *touching}):
        crossing = crossings.get(pair)
        if crossing is None:
            if all(_has_model(states.get(track_id)) for track_id in pair):
                updated[pair] = Crossing(frame, touching[pair] > _MIN_OVERLAP_IOU)
            continue
        both_visible = all(track_id in visible for track_id in pair)
        has_overlapped = crossing.has_overlapped or touching.get(pair, 0.0) > _MIN_OVERLAP_IOU or not both_visible
        if both_visible and not has_overlapped and pair not in touching:
            del updated[pair]
            continue
        shown = [visible[key] for key in pair if key in visible]
        parts = _parts(shown, _models(pair, states), regions) if has_overlapped else []
        split_frames = crossing.split_frames + 1 if len(parts) == len(pair) else 0
        updated[pair] = replace(crossing, has_overlapped=has_overlapped, split_frames=split_frames)
        if split_frames >= _MIN_SPLIT_FRAMES:
            separated[pair] = parts
    return updated, separated


def _has_model(state: TrackState | None) -> bool:
    return state is not None and state.model is not None and state.model.frames >= _MIN_ALONE_FRAMES


def _models(pair: Pair, states: Tracks) -> list[ObjectModel]:
    """Return the models of two objects in a crossing. A crossing opens only between objects with models."""
    models = [states[track_id].model for track_id in pair]
    return [model for model in models if model is not None]


def resolve(
    pair: Pair, parts: Sequence[Region], states: Tracks, tracks: Iterable[Track], color: NDArray[np.uint8], frame: int
) -> list[Assignment] | None:
    """Resolve a crossing on an image that shows both objects apart.

    Args:
        pair: ids of the objects.
        parts: two parts, one for each object.
        states: states of the objects by id.
        tracks: tracks on that image, with or without the tracks of the pair.
        color: the image, RGB uint8 [H, W, 3].
        frame: frame number of the image. It must be later than the start of the crossing.

    Returns:
        The assignment of each object. None if a part is neither of the objects, or if nothing tells which is which. Then the crossing
        stays open.
    """
    models = _models(pair, states)
    visible = {track.id: track for track in tracks if track.box is not None}
    lab_means = [part.mean_lab(color) for part in parts]
    # All three tables are float64 [objects, parts].
    color_distance = np.array(
        [[model.color_distance(mean_lab) if mean_lab is not None else np.inf for mean_lab in lab_means] for model in models]
    )
    motion_distance = np.array([model.motion_distances(frame, [part.center for part in parts]) for model in models])
    fit = np.array([[part.iou(visible[key].mask) if key in visible else 0.0 for part in parts] for key in pair])
    # Positive evidence keeps the order of the parts, negative evidence swaps them.
    evidence = (np.trace(np.fliplr(color_distance + motion_distance)) - np.trace(color_distance + motion_distance)) / 2
    if abs(evidence) < _MIN_LOG_ODDS:
        evidence = np.trace(fit) - np.trace(np.fliplr(fit))
        if evidence == 0:
            return None
    order = (0, 1) if evidence >= 0 else (1, 0)
    if any(color_distance[row, part] > _COLOR_GATE for row, part in enumerate(order)):
        return None
    confident = {key for key, track in visible.items() if track.predicted_iou >= CONFIDENT_IOU}
    fits = [key in confident and fit[row, part] >= _FIT_IOU for row, (key, part) in enumerate(zip(pair, order))]
    return [Assignment(key, part, bool(fits[row])) for row, (key, part) in enumerate(zip(pair, order))]


def update_models(
    states: Tracks, crossings: Crossings, tracks: Sequence[Track], color: NDArray[np.uint8], frame: int, exposure: float
) -> dict[int, TrackState]:
    """Return the states with updated models of the objects that are alone on a finished frame.

    An object that starts beside another one gets its model from its first frames, because the mask of a prompt is reliable.

    Args:
        states: states of the objects by id.
        crossings: the open crossings after the frame.
        tracks: tracks of the frame.
        color: image of the frame, RGB uint8 [H, W, 3].
        frame: frame number.
        exposure: exposure of the image, see `scene_cut.SceneState`.
    """
    visible = [track for track in tracks if track.box is not None]
    not_alone = {track_id for pair in (*crossings, *touching_pairs(visible)) for track_id in pair}
    updated = dict(states)
    for track in visible:
        state = states.get(track.id)
        if state is None or track.predicted_iou < CONFIDENT_IOU:
            continue
        if track.id not in not_alone or not _has_model(state):
            updated[track.id] = replace(state, model=ObjectModel.of(frame, track, color, exposure, state.model))
    return updated


def ownership_of(pair: Pair, states: Tracks, tracks: Mapping[int, Track], color: NDArray[np.uint8], exposure: float) -> Patch | None:
    """Compute the pixel ownership of two overlapping objects from their colors.

    Args:
        pair: ids of the objects.
        states: states of the objects by id.
        tracks: the visible tracks as predicted from memory on an image, by id.
        color: the image, RGB uint8 [H, W, 3].
        exposure: exposure of the image.

    Returns:
        float32 image from 1 (first object) to -1 (second object), 0 for undecided pixels. None unless both tracks are visible.
    """
    if pair[0] not in tracks or pair[1] not in tracks:
        return None
    one, other = (model.color_model for model in _models(pair, states))
    union, x, y = _union([tracks[track_id] for track_id in pair])
    crop = color[y : y + union.shape[0], x : x + union.shape[1]]
    return Patch(split_overlap(crop, union, (one, other), exposure), x, y, color.shape[0], color.shape[1])


def touching_pairs(tracks: Iterable[Track]) -> dict[Pair, float]:
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


def _union(tracks: Sequence[Track]) -> tuple[NDArray[np.bool_], int, int]:
    """Return the pixels of visible tracks as bool [h, w] inside their common box, and the position (x, y) of the box."""
    boxes = [track.box for track in tracks if track.box is not None]
    x, y = (int(min(box[axis] for box in boxes)) for axis in (0, 1))
    end_x, end_y = (int(max(box[axis] for box in boxes)) for axis in (2, 3))
    return np.logical_or.reduce([track.mask[y:end_y, x:end_x] for track in tracks]), x, y


def _parts(tracks: Sequence[Track], models: Sequence[ObjectModel], regions: dict[int, list[Region]]) -> list[Region]:
    """Return the connected components of the pixels of the visible tracks of a pair that are large enough for an object.

    `regions` keeps the components of single tracks, which may be in several pairs.
    """
    if touching_pairs(tracks):
        components = Region.components(*_union(tracks))
    else:
        for track in tracks:
            if track.id not in regions:
                regions[track.id] = Region.components(*_union([track]))
        components = [region for track in tracks for region in regions[track.id]]
    min_area = _MIN_PART_RATIO * min(model.area for model in models)
    return [region for region in components if region.area >= min_area]
