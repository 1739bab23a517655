# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The trace of a tracked bag, in a folder beside it, where the edits are kept as well. The bag stays unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lang2segtrack_ros.history.records import Record, dumps
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.bags.tracks import bag_records
from lang2segtrack_ros.recordings.review.stored import TRACE
from lang2segtrack_ros.types.rle import Rle

SUFFIX = ".review"
"""End of the name of the folder beside the bag."""
_NOT_IN_MESSAGES: Record = {
    "predicted_iou": None,
    "object_score": None,
    "motion_score": None,
    "stable_frames": 0,
    "frames_since_seen": 0,
    "agreement": None,
    "confidence": None,
}


def write_bag_trace(bag: Path, topic: str = "") -> tuple[Path, list[str]]:
    """Write the tracks of a bag as a trace. The same bag gives the same bytes, so a journal in the folder stays valid.

    Args:
        bag: the bag, with a topic of tracks.
        topic: this topic; empty chooses one.

    Returns:
        The folder with the trace, and sentences on what was left out.

    Raises:
        TraceError: the bag has no tracks, or several topics of them.
        BagError: the bag cannot be read.
        OSError: the folder cannot be written.
    """
    folder = bag.with_name(bag.name + SUFFIX)
    folder.mkdir(exist_ok=True)
    part = folder / f"{TRACE}.part"
    try:
        with BagInput(bag) as opened:
            size = next((_size(record) for record in bag_records(opened, topic, []) if record["height"]), (1, 1))
        sentences: list[str] = []
        with BagInput(bag) as opened, part.open("wb") as file:
            for record in _whole(bag_records(opened, topic, sentences), size):
                file.write(dumps(record))
            sentences += opened.damage
        part.rename(folder / TRACE)
    finally:
        part.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
    return folder, sentences


def _size(record: Record) -> tuple[int, int]:
    return record["height"], record["width"]


def _whole(records: Iterator[Record], size: tuple[int, int]) -> Iterator[Record]:
    """Yield records with the fields that messages do not have.

    Args:
        records: the records of a bag.
        size: height and width of the first image with a size, for those before it. An image without a track has no size.
    """
    for record in records:
        size = _size(record) if record["height"] else size
        empty = {"size": list(size), "counts": Rle.encode(np.zeros(size, bool)).counts}
        tracks = [{**track, **_NOT_IN_MESSAGES, "rle": empty if track["box"] is None else track["rle"]} for track in record["tracks"]]
        yield {**record, "height": size[0], "width": size[1], "tracks": tracks}
