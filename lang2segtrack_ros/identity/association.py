# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One-to-one matching of detections with tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.types.results import Track

SAME_LABEL_IOU = 0.3
"""A detection belongs to a track of its own label when their boxes overlap at least this much."""
OTHER_LABEL_IOU = 0.7
"""With different labels more evidence is asked for: crossing objects overlap too."""
SURE_IOU = 0.6
"""Predicted IoU from which on a mask says something of its object."""
_INSIDE = 0.8
"""A mask that is not sure and lies in a detection's box by this share is what is left of that object; a swollen one's detection in its."""
_GROWN = 2.0
"""A track whose box has so many times the area in which the detector last found the object has swollen."""
DUPLICATE_MASK_IOU = 0.5
"""A new mask that covers an existing one at least this much is the same object."""


def box_iou(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of boxes [N, 4] with boxes [M, 4], (x_min, y_min, x_max, y_max): [N, M]."""
    overlap = _overlap(boxes, others)
    union = _areas(boxes)[:, None] + _areas(others)[None] - overlap
    iou: NDArray[np.float64] = np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
    return iou


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas [N, M] that boxes [N, 4] share with boxes [M, 4]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: NDArray[np.float64] = np.clip(high - low, 0, None).prod(-1)
    return shared


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return areas


def mask_iou(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """IoU of two bool [H, W] masks, 0 when both are empty."""
    union = int(np.count_nonzero(mask | other))
    return int(np.count_nonzero(mask & other)) / union if union else 0.0


def track_iou(one: Track, other: Track) -> float:
    """The same of two tracks' masks, looking at nothing but their boxes; 0 when one is not seen."""
    if one.box is None or other.box is None:
        return 0.0
    x1, y1, x2, y2 = (int(value) for value in (*map(max, one.box[:2], other.box[:2]), *map(min, one.box[2:], other.box[2:])))
    if x1 >= x2 or y1 >= y2:
        return 0.0
    shared = int(np.count_nonzero(one.mask[y1:y2, x1:x2] & other.mask[y1:y2, x1:x2]))
    return shared / max(1, _pixels(one) + _pixels(other) - shared)


def _pixels(track: Track) -> int:
    assert track.box is not None
    x1, y1, x2, y2 = map(int, track.box)
    return int(np.count_nonzero(track.mask[y1:y2, x1:x2]))


def match_detections(
    detections: Sequence[Detection], tracks: Sequence[Track], detected_areas: Mapping[int, float]
) -> tuple[dict[int, int], list[int]]:
    """Matches detections with visible tracks, each at most once, so that the sum of overlaps is greatest.

    A track that has withered to a remnant of its object, or has swollen over its neighbours while the object kept its size, counts as
    that object, or the object would get a second track.

    Args:
        detections: of one image.
        tracks: on that image.
        sizes: areas of the boxes, in square pixels, in which the detector found tracks last, by track id.

    Returns:
        A dict from detection index to track id, and the indices of detections that belong to no track.
    """
    seen = [track for track in tracks if track.box is not None]
    if not detections or not seen:
        return {}, list(range(len(detections)))
    found, boxes = np.array([d.box for d in detections], dtype=float), np.array([t.box for t in seen], dtype=float)
    overlap = box_iou(found, boxes)
    same = np.array([[d.label == t.label for t in seen] for d in detections])
    shared = _overlap(found, boxes)
    remnant = (shared >= _INSIDE * _areas(boxes)) & np.array([t.predicted_iou < SURE_IOU for t in seen])
    known, detected_area = np.array([detected_areas.get(t.id, np.inf) for t in seen]), _areas(found)[:, None]
    swollen = (
        (shared >= _INSIDE * detected_area)
        & (_areas(boxes) > _GROWN * known)
        & (detected_area < _GROWN * known)
        & (known < _GROWN * detected_area)
    )
    allowed = (overlap >= np.where(same, SAME_LABEL_IOU, OTHER_LABEL_IOU)) | (same & (remnant | swollen))
    rows, columns = linear_sum_assignment(np.where(allowed, overlap + same, 0.0), maximize=True)
    matched = {int(row): seen[column].id for row, column in zip(rows, columns) if allowed[row, column]}
    return matched, [index for index in range(len(detections)) if index not in matched]


def find_duplicate(mask: NDArray[np.bool_], masks: Mapping[int, NDArray[np.bool_]], least: float = DUPLICATE_MASK_IOU) -> int | None:
    """The id of the track whose mask is the same object as `mask`, by the masks of tracks; None when none overlaps it by `least`."""
    overlaps = {track_id: mask_iou(mask, other) for track_id, other in masks.items()}
    best = max(overlaps, key=overlaps.__getitem__, default=None)
    return best if best is not None and overlaps[best] >= least else None
