# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The tracks of each image as numbers, read from a trace one image at a time. No mask is kept or decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask

from lang2segtrack_ros.io.exports.trace import UNNAMED, not_a_record, stored_records
from lang2segtrack_ros.types.results import Source, TrackStatus
from lang2segtrack_ros.types.rle import Box

Pair = tuple[int, int]
"""Ids of two tracks, the smaller one first."""
_TENTATIVE, _REMOVED = (state.name.lower() for state in (TrackStatus.TENTATIVE, TrackStatus.REMOVED))


@dataclass(frozen=True)
class TrackSample:
    """One visible track on one image.

    Attributes:
        id: id of the track, > 0.
        label: its label; never empty.
        score: confidence of the mask, 0..1.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        area: pixels of the mask; of the box if the trace has boxes only.
        source: pass that produced the mask.
        agreement: IoU of the masks of both passes, 0..1; NaN without a second mask.
        confidence: confidence of a merged trace, 0..1; NaN without a backward pass.
    """

    id: int
    label: str
    score: float
    box: Box
    area: float
    source: Source = Source.FORWARD
    agreement: float = math.nan
    confidence: float = math.nan

    @property
    def center(self) -> tuple[float, float]:
        """Center (x, y) of the box in pixels."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2

    @property
    def size(self) -> float:
        """Side of a square with the area of the box, in pixels."""
        x1, y1, x2, y2 = self.box
        return math.sqrt(max((x2 - x1) * (y2 - y1), 1.0))


@dataclass(frozen=True)
class ImageSample:
    """One image and its tracks.

    Attributes:
        number: number of the image in the recording.
        stamp_ns: timestamp in nanoseconds.
        height, width: size in pixels.
        tracks: the visible tracks by id, in ascending order.
        hidden: ids of the tracks that exist without being visible.
        removed: ids of the tracks that end on this image.
        unconfirmed: ids of the tracks that are left out, because they are not confirmed.
        overlaps: IoU of the masks, > 0..1, of each pair of visible tracks that overlap.
    """

    number: int
    stamp_ns: int
    height: int
    width: int
    tracks: Mapping[int, TrackSample] = field(default_factory=dict)
    hidden: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()
    unconfirmed: frozenset[int] = frozenset()
    overlaps: Mapping[Pair, float] = field(default_factory=dict)

    def at_border(self, box: Box) -> bool:
        """Return True for a box that touches the border of the image, where objects are cut off, enter and leave."""
        return box[0] <= 1 or box[1] <= 1 or box[2] >= self.width - 1 or box[3] >= self.height - 1


def read_samples(path: Path, keep_unconfirmed: bool = False) -> Iterator[ImageSample]:
    """Yield the images of a trace in order. Memory holds one image.

    Args:
        path: file of JSON lines; see `history.records`.
        keep_unconfirmed: True keeps tracks that are detected but not confirmed.

    Raises:
        TraceError: a line is not a record.
        OSError: the file cannot be read.
    """
    size = (0, 0)  # records of a bag have no size on images without tracks
    for line, record in stored_records(path):
        try:
            size = (record["height"], record["width"]) if record["height"] else size
            yield _image(record, size, keep_unconfirmed)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise not_a_record(path, line, error) from error


def _image(record: dict[str, Any], size: tuple[int, int], keep_unconfirmed: bool) -> ImageSample:
    tracks: dict[int, TrackSample] = {}
    encoded: dict[int, dict[str, Any]] = {}
    groups: dict[str, set[int]] = {"hidden": set(), "removed": set(), "unconfirmed": set()}
    for item in sorted(record["tracks"], key=lambda item: int(item["id"])):
        if item["state"] == _REMOVED:
            groups["removed"].add(item["id"])
        elif item["state"] == _TENTATIVE and not keep_unconfirmed:
            groups["unconfirmed"].add(item["id"])
        elif item["box"] is None:
            groups["hidden"].add(item["id"])
        else:
            tracks[item["id"]], encoded[item["id"]] = _track(item)
    overlaps = {}
    for one, other in combinations(tracks, 2):
        if _boxes_overlap(tracks[one].box, tracks[other].box):
            iou = float(coco_mask.iou([encoded[one]], [encoded[other]], [0])[0, 0])
            if iou:
                overlaps[one, other] = iou
    hidden, removed, unconfirmed = (frozenset(group) for group in groups.values())
    return ImageSample(int(record["frame"]), int(record["stamp_ns"]), *size, tracks, hidden, removed, unconfirmed, overlaps)


def _track(item: dict[str, Any]) -> tuple[TrackSample, dict[str, Any]]:
    x1, y1, x2, y2 = map(float, item["box"])
    counts = item["rle"]["counts"]
    if not counts or not counts.isascii():
        raise ValueError(f"the mask of object {item['id']} has the counts {counts!r}")
    encoded = {"size": item["rle"]["size"], "counts": counts.encode("ascii")}
    area = float(coco_mask.area(encoded)) or (x2 - x1) * (y2 - y1)
    agreement, confidence = (math.nan if item.get(name) is None else float(item[name]) for name in ("agreement", "confidence"))
    label, score, source = item["label"].strip() or UNNAMED, float(item["score"] or 0.0), Source(item.get("source", "forward"))
    return TrackSample(item["id"], label, score, (x1, y1, x2, y2), area, source, agreement, confidence), encoded


def _boxes_overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
