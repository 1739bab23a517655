# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results as plain records: one JSON object for each image, in histories and in `tracks.jsonl`.

    {"frame": 0, "stamp_ns": 0, "height": 240, "width": 320, "prompted": [1], "tracks": [{"id": 1, "label": "red circle",
     "state": "tracked", "source": "forward", "score": 0.93, "box": [10.0, 20.0, 50.0, 60.0],
     "rle": {"size": [240, 320], "counts": "..."}, "predicted_iou": 0.93, "object_score": 6.1, "motion_score": null,
     "stable_frames": 0, "frames_since_seen": 0, "agreement": null, "confidence": null}]}

`rle` is COCO's compressed run-length encoding. `box` is null if the object is not visible. NaN and infinite values become null.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lang2segtrack_ros.types.results import FrameResult, Source, Track, TrackStatus
from lang2segtrack_ros.types.rle import Rle

Record = dict[str, Any]


def track_record(track: Track) -> Record:
    """Return the record of one object."""
    return {
        "id": track.id,
        "label": track.label,
        "state": track.state.name.lower(),
        "source": track.source.value,
        "score": _finite_or_none(track.score),
        "box": None if track.box is None else list(track.box),
        "rle": {"size": [track.rle.height, track.rle.width], "counts": track.rle.counts},
        "predicted_iou": _finite_or_none(track.predicted_iou),
        "object_score": _finite_or_none(track.object_score),
        "motion_score": _finite_or_none(track.motion_score),
        "stable_frames": track.stable_frames,
        "frames_since_seen": track.frames_since_seen,
        "agreement": _finite_or_none(track.agreement),
        "confidence": _finite_or_none(track.confidence),
    }


def hidden_record(record: Record) -> Record:
    """Return the record of an object without its mask."""
    height, width = record["rle"]["size"]
    empty = Rle.encode(np.zeros((height, width), bool))
    return {**record, "box": None, "score": 0.0, "rle": {"size": [height, width], "counts": empty.counts}}


def frame_record(result: FrameResult) -> Record:
    """Return the record of a whole result."""
    return {
        "frame": result.index,
        "stamp_ns": result.stamp_ns,
        "height": result.height,
        "width": result.width,
        "prompted": list(result.prompted),
        "tracks": [track_record(track) for track in result.tracks],
    }


def read_track(record: Record) -> Track:
    """Return the track of an object's record."""
    rle = record_rle(record)
    track = Track(
        id=record["id"],
        label=record["label"],
        state=TrackStatus[record["state"].upper()],
        score=record["score"],
        box=None if record["box"] is None else tuple(record["box"]),
        mask=rle.decode(),
        predicted_iou=_nan_if_none(record["predicted_iou"]),
        object_score=_nan_if_none(record["object_score"]),
        motion_score=_nan_if_none(record["motion_score"]),
        stable_frames=record["stable_frames"],
        frames_since_seen=record["frames_since_seen"],
        source=Source(record["source"]),
        agreement=_nan_if_none(record.get("agreement")),
        confidence=_nan_if_none(record.get("confidence")),
    )
    track.__dict__["rle"] = rle  # fills the cached property, so that the mask is not encoded again
    return track


def read_frame(record: Record) -> FrameResult:
    """Return the result of a record."""
    return FrameResult(
        stamp_ns=record["stamp_ns"],
        index=record["frame"],
        height=record["height"],
        width=record["width"],
        tracks=tuple(read_track(track) for track in record["tracks"]),
        prompted=tuple(record["prompted"]),
    )


def record_rle(record: Record) -> Rle:
    """Return the encoded mask of an object's record."""
    height, width = record["rle"]["size"]
    return Rle(height, width, record["rle"]["counts"])


def dumps(record: Record) -> bytes:
    """Return a record as one line of JSON, including the line end."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _finite_or_none(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _nan_if_none(value: float | None) -> float:
    return math.nan if value is None else value


class RecordStore(Protocol):
    """Storage for the records of the sweep: `RecordFile`, or memory."""

    def append(self, record: Record) -> None:
        """Add a record under its "frame"."""
        ...

    def get(self, number: int, /) -> Record | None:
        """Return the record of a frame, or None if the store has none."""
        ...


class MemoryRecords(dict[int, Record]):
    """Records in memory, by frame number."""

    def append(self, record: Record) -> None:
        """Add a record under its "frame"."""
        self[record["frame"]] = record


class RecordFile(Mapping[int, Record]):
    """A file of records, by frame number. Memory holds only the offset and the size of each record.

    Args:
        path: the file.
        keep: number of records to keep from the existing file, to resume after an interruption; 0 starts an empty file.

    Raises:
        OSError: the file cannot be written.
        ValueError: the file holds fewer than `keep` whole records.
    """

    def __init__(self, path: Path, keep: int = 0) -> None:
        self.path = path
        self._offsets: dict[int, tuple[int, int]] = {}  # frame number -> (offset, size) in bytes
        self._end = 0
        self._lines = 0  # more than frames, if a frame was written again
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "r+b" if keep else "w+b")  # noqa: SIM115
        for count in range(keep):
            line = self._file.readline()
            if not line.endswith(b"\n"):
                raise ValueError(f"{path} holds {count} whole records, not {keep}")
            self._add_offset(json.loads(line)["frame"], len(line))
        self._file.truncate(self._end)

    def _add_offset(self, number: int, size: int) -> None:
        self._offsets[number] = (self._end, size)
        self._end += size
        self._lines += 1

    def append(self, record: Record) -> None:
        """Append a record under its "frame", in place of an earlier one. Raises OSError if the file cannot be written."""
        line = dumps(record)
        self._file.seek(self._end)
        self._file.write(line)
        self._add_offset(record["frame"], len(line))

    def flush(self) -> None:
        """Write all records to disk (fsync)."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._offsets))

    def __getitem__(self, number: int) -> Record:
        """Return the record of a frame. Raises KeyError."""
        offset, size = self._offsets[number]
        self._file.seek(offset)
        record: Record = json.loads(self._file.read(size))
        return record

    def __reduce__(self) -> tuple[type[RecordFile], tuple[Path, int]]:
        """Return path and length for pickle; unpickling truncates the file to this length."""
        self.flush()
        return RecordFile, (self.path, self._lines)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
