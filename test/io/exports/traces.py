# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Traces for the tests of exports and imports, and the truth that each reader has to find."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.history.records import dumps, frame_record, read_frame
from lang2segtrack_ros.io.exports.pictures import Pictures
from lang2segtrack_ros.io.exports.registry import FORMATS
from lang2segtrack_ros.io.exports.trace import Trace
from lang2segtrack_ros.recordings.exporting import write_exports
from lang2segtrack_ros.types.results import FrameResult, Track, TrackStatus
from lang2segtrack_ros.types.rle import Rle, mask_box

Mask = NDArray[np.bool_]
Truth = list[dict[int, Mask]]
"""The masks of the visible objects by id, for each image."""
HEIGHT, WIDTH = 37, 53
LABELS = {
    1: 'Tasse, "groß"; <1> & co.\nzweite Zeile',  # separators, quotes, markup and a line end
    2: "赤い丸",  # outside Latin-1
    3: "red mug",
    4: "red mug",  # two objects of one label
    6: "",  # a box without a name
}
NUMBERS = (0, 1, 2, 5, 6, 7, 8, 9, 10, 11)  # images 3 and 4 are missing in the recording
FIRST_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000


def track(track_id: int, mask: Mask, score: float = 0.9, state: TrackStatus = TrackStatus.TRACKED) -> Track:
    """Return a track with the label of its id."""
    nan = float("nan")
    return Track(track_id, LABELS.get(track_id, "cup"), state, score, mask_box(mask), mask, 0.9, 5.0, nan, 0)


def rectangle(x1: int, y1: int, x2: int, y2: int, height: int = HEIGHT, width: int = WIDTH) -> Mask:
    """Return the mask of a rectangle with exclusive maxima."""
    mask = np.zeros((height, width), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def odd_results() -> list[FrameResult]:
    """Return results with each case that a format may get wrong."""
    results = []
    for index, number in enumerate(NUMBERS):
        tracks: list[Track] = []
        if index not in (4, 9):  # two images without objects, one of them the last
            ring = rectangle(2, 3, 12 + index, 14) & ~rectangle(5, 6, 8, 9)  # a hole
            two = rectangle(8, 8, 20, 20) | rectangle(30, 2 + index, 35, 9 + index)  # two regions; overlaps with 1
            tracks += [track(1, ring, 0.8), track(2, two, 0.7 + 0.05 * (index % 3))]
            pixel = rectangle(50, 30, 51, 31)
            hidden = track(3, np.zeros((HEIGHT, WIDTH), bool), 0.0, TrackStatus.OCCLUDED)
            tracks.append(hidden if index in (2, 3) else track(3, pixel))  # returns after an absence; a single pixel
            tracks.append(track(4, rectangle(40, 20, 42, 36 - index)))
            if index < 3:
                tracks.append(track(6, rectangle(0, 30, 5, 37)))  # at two borders
            elif index == 3:
                tracks.append(track(6, rectangle(0, 0, WIDTH, HEIGHT)).as_removed())
            tracks.append(track(5, rectangle(20, 25, 25, 30), state=TrackStatus.TENTATIVE))  # never confirmed
        results.append(FrameResult(FIRST_NS + number * PERIOD_NS, number, HEIGHT, WIDTH, tuple(tracks)))
    return results


def write_trace(path: Path, results: Iterable[FrameResult]) -> Path:
    """Write results as a file of records."""
    with path.open("wb") as file:
        for result in results:
            file.write(dumps(frame_record(result)))
    return path


def truth_of(path: Path) -> Truth:
    """Return the masks of a file of records, read by the older code of this package."""
    truth = []
    for line in path.read_text().splitlines():
        tracks = read_frame(json.loads(line)).tracks
        shown = [item for item in tracks if item.box is not None and item.state not in (TrackStatus.REMOVED, TrackStatus.TENTATIVE)]
        truth.append({item.id: item.mask for item in shown})
    return truth


def without_overlaps(path: Path) -> Truth:
    """Return the masks of a file of records, in which a pixel belongs to the object with the highest score only."""
    truth = []
    for line, masks in zip(path.read_text().splitlines(), truth_of(path)):
        scores = {item["id"]: item["score"] for item in json.loads(line)["tracks"]}
        own = {}
        for track_id, mask in masks.items():
            above = [other for key, other in masks.items() if (scores[key], key) > (scores[track_id], track_id)]
            own[track_id] = mask & ~np.any(above, axis=0) if above else mask
        truth.append({track_id: mask for track_id, mask in own.items() if mask.any()})
    return truth


def export(trace: Path, name: str, folder: Path, pictures: Pictures | None = None) -> list[str]:
    """Export a trace in one format, and return the sentences."""
    return write_exports(Trace(trace, "my clip"), [FORMATS[name]], [folder], pictures or Pictures(), lambda *_: None)


def decoded(item: Any) -> Mask:
    """Return a mask in the form that pycocotools and TrackEval hand around."""
    height, width = item["size"]
    return Rle(height, width, item["counts"].decode()).decode()


def check_equal(found: Truth, expected: Truth) -> None:
    """Assert equal ids and masks on each image."""
    assert [sorted(masks) for masks in found] == [sorted(masks) for masks in expected]
    for index, (masks, others) in enumerate(zip(found, expected)):
        for track_id, mask in masks.items():
            assert (mask == others[track_id]).all(), f"object {track_id} on image {index}"
