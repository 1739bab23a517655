# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One-to-one association of detections with tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.identity.region import Region
from lang2segtrack_ros.identity.track_state import TrackState
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

SAME_LABEL_IOU = 0.3
"""Minimum IoU of a detection's box and a track's box to match them if their labels are equal."""
OTHER_LABEL_IOU = 0.7
"""The same for different labels. This minimum is higher, because the boxes of crossing objects overlap too."""
CONFIDENT_IOU = 0.6
"""Minimum predicted IoU of a mask that is reliable evidence about its object."""
_CONTAINED_RATIO = 0.8
"""Minimum ratio of a box's area inside another box for the first box to count as contained."""
_GROWTH_RATIO = 2.0
"""A track is overgrown if its box has this many times the area of the last detection of its object."""
DUPLICATE_MASK_IOU = 0.5
"""Minimum IoU of a new mask and the mask of a track to count as the same object."""


def box_iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU [N, M] of boxes [N, 4] and boxes [M, 4], each (x_min, y_min, x_max, y_max)."""
    overlap = _intersections(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None] - overlap
    iou: NDArray[np.float64] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def _intersections(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection areas [N, M] of boxes [N, 4] and boxes [M, 4]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    areas: NDArray[np.float64] = np.clip(high - low, 0, None).prod(-1)
    return areas


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return areas


def mask_iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the IoU of two bool [H, W] masks, and 0 if both are empty."""
    union = int(np.count_nonzero(mask | other))
    return int(np.count_nonzero(mask & other)) / union if union else 0.0


def track_iou(one: Track, other: Track) -> float:
    """Return the IoU of the masks of two tracks, computed only inside their boxes, and 0 if one track is not visible."""
    if one.box is None or other.box is None:
        return 0.0
    x1, y1, x2, y2 = (int(value) for value in (*map(max, one.box[:2], other.box[:2]), *map(min, one.box[2:], other.box[2:])))
    if x1 >= x2 or y1 >= y2:
        return 0.0
    intersection = int(np.count_nonzero(one.mask[y1:y2, x1:x2] & other.mask[y1:y2, x1:x2]))
    return intersection / max(1, _mask_area(one) + _mask_area(other) - intersection)


def _mask_area(track: Track) -> int:
    assert track.box is not None
    x1, y1, x2, y2 = map(int, track.box)
    return int(np.count_nonzero(track.mask[y1:y2, x1:x2]))


def match_detections(
    detections: Sequence[Detection], tracks: Sequence[Track], detected_areas: Mapping[int, float]
) -> tuple[dict[int, int], list[int]]:
    """Match detections with visible tracks one to one, such that the sum of IoUs is maximal.

    Two kinds of tracks match a detection of their label even with a low IoU. A remnant is an uncertain mask that covers only a part of
    its object. An overgrown mask covers neighbors too, while the size of its object is unchanged. Without this rule, such an object
    would get a second track.

    Args:
        detections: detections on one image.
        tracks: tracks on that image.
        detected_areas: box areas of the last detections in square pixels, by track id.

    Returns:
        A dict from detection index to track id, and the indices of the detections without a track.
    """
    visible = [track for track in tracks if track.box is not None]
    if not detections or not visible:
        return {}, list(range(len(detections)))
    detected_boxes = np.array([d.box for d in detections], dtype=float)
    boxes = np.array([t.box for t in visible], dtype=float)
    iou = box_iou(detected_boxes, boxes)
    same_label = np.array([[d.label == t.label for t in visible] for d in detections])
    intersection = _intersections(detected_boxes, boxes)
    remnant = (intersection >= _CONTAINED_RATIO * _areas(boxes)) & np.array([t.predicted_iou < CONFIDENT_IOU for t in visible])
    last_area = np.array([detected_areas.get(t.id, np.inf) for t in visible])
    detected_area = _areas(detected_boxes)[:, None]
    overgrown = (
        (intersection >= _CONTAINED_RATIO * detected_area)
        & (_areas(boxes) > _GROWTH_RATIO * last_area)
        & (detected_area < _GROWTH_RATIO * last_area)
        & (last_area < _GROWTH_RATIO * detected_area)
    )
    allowed = (iou >= np.where(same_label, SAME_LABEL_IOU, OTHER_LABEL_IOU)) | (same_label & (remnant | overgrown))
    rows, columns = linear_sum_assignment(np.where(allowed, iou + same_label, 0.0), maximize=True)
    matched = {int(row): visible[column].id for row, column in zip(rows, columns) if allowed[row, column]}
    return matched, [index for index in range(len(detections)) if index not in matched]


def find_duplicate(mask: NDArray[np.bool_], masks: Mapping[int, NDArray[np.bool_]], min_iou: float = DUPLICATE_MASK_IOU) -> int | None:
    """Return the id of the track that is the same object as a mask.

    Args:
        mask: bool [H, W], the mask to look up.
        masks: masks of the tracks by id.
        min_iou: minimum IoU of two masks of the same object.

    Returns:
        The id of the track with the highest IoU, or None if no IoU reaches `min_iou`.
    """
    region = Region.of(mask)
    ious = {track_id: region.iou(other) for track_id, other in masks.items()} if region is not None else {}
    best = max(ious, key=ious.__getitem__, default=None)
    return best if best is not None and ious[best] >= min_iou else None


def is_within_reach(box: Box, state: TrackState) -> bool:
    """Return True if an object can have moved from its last detection to a box. It moves by its size between two detections.

    Args:
        box: (x_min, y_min, x_max, y_max) in pixels.
        state: state of the object.
    """
    if state.detected_box is None:
        return False
    last = np.array(state.detected_box).reshape(2, 2)
    distance = float(np.linalg.norm(np.array(box).reshape(2, 2).mean(0) - last.mean(0)))
    return distance <= (1 + state.misses) * float(np.linalg.norm(last[1] - last[0]))
