# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A stored trace: the visible objects of each image, read from `tracks.jsonl` one line at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from lang2segtrack_ros.types.results import TrackStatus
from lang2segtrack_ros.types.rle import Box, Rle, decode_counts

UNNAMED = "object"
"""Category of the objects without a label. No format accepts an empty name."""
DEFAULT_FPS = 30.0
"""Images per second of a trace whose stamps do not tell."""


class TraceError(ValueError):
    """Error for a trace that cannot be read or exported. The message names the place and says what to do."""


@dataclass(frozen=True)
class LabeledObject:
    """One visible object on one image.

    Attributes:
        id: id of the object, > 0.
        label: its label, the same on all images of the trace; never empty.
        score: confidence of the mask, 0..1.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        rle: the encoded mask. It is empty if the trace comes from a format that has boxes only.
        is_occluded: True if the trace calls the object occluded, although it has a box.
    """

    id: int
    label: str
    score: float
    box: Box
    rle: Rle
    is_occluded: bool = False

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The mask, bool [H, W]. Raises TraceError if its runs are damaged."""
        try:
            return self.rle.decode()
        except ValueError as error:
            raise self._damaged(error) from error

    @property
    def runs(self) -> list[int]:
        """The runs of the mask in column-major order; they begin with background. Raises TraceError if they are damaged."""
        try:
            return decode_counts(self.rle.counts)
        except ValueError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: ValueError) -> TraceError:
        return TraceError(f"a mask of object {self.id} cannot be decoded ({error}): track again, or remove it from the trace")

    @cached_property
    def area(self) -> int:
        """Number of pixels of the mask."""
        return int(coco_mask.area({"size": [self.rle.height, self.rle.width], "counts": self.rle.counts.encode("ascii")}))


@dataclass(frozen=True)
class LabeledFrame:
    """One image and its visible objects.

    Attributes:
        index: position in the trace, from 0.
        number: number of the image in the recording. It differs from `index` if the trace leaves out images.
        stamp_ns: timestamp in nanoseconds.
        height, width: size in pixels.
        objects: the objects in the order of their ids.
    """

    index: int
    number: int
    stamp_ns: int
    height: int
    width: int
    objects: tuple[LabeledObject, ...] = ()


@dataclass
class TraceInfo:
    """A summary of a trace, known before its images are exported.

    Attributes:
        name: name of the sequence, without spaces and slashes.
        length: number of images.
        height, width: size of the first image in pixels.
        fps: images per second, from the stamps.
        labels: label of each object by id, in the order of the ids. Objects that are never visible are missing.
        hidden: number of images on which an object exists without being visible, summed over the objects.
        unconfirmed: number of objects left out, because they were detected but never confirmed.
    """

    name: str
    length: int = 0
    height: int = 0
    width: int = 0
    fps: float = DEFAULT_FPS
    labels: dict[int, str] = field(default_factory=dict)
    hidden: int = 0
    unconfirmed: int = 0

    @cached_property
    def categories(self) -> dict[str, int]:
        """Number of each label, from 1, in the order of the ids of their first objects."""
        return {label: number for number, label in enumerate(dict.fromkeys(self.labels.values()), 1)}


class Trace:
    """A trace in a file of records, as `lang2segtrack track`, a saved backward pass and `lang2segtrack import` write it.

    The constructor reads the file once, for the summary. Memory does not depend on the number of images.

    Args:
        path: the file of JSON lines; see `history.records`.
        name: name of the sequence.
        keep_unconfirmed: True keeps objects that were detected but never confirmed.

    Attributes:
        info: the summary.

    Raises:
        TraceError: the file holds no record, a line is not a record, or no object is ever visible.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path, name: str, keep_unconfirmed: bool = False) -> None:
        self._path = path
        self._keep_unconfirmed = keep_unconfirmed
        self.info = self._summary("_".join(name.replace("/", " ").split()) or "sequence")

    def _summary(self, name: str) -> TraceInfo:
        info = TraceInfo(name)
        first = last = 0
        labels: dict[int, str] = {}
        left_out: set[int] = set()
        for line, record in stored_records(self._path):
            try:
                first, last = (record["stamp_ns"] if not info.length else first), record["stamp_ns"]
                info.length += 1
                if not info.height:
                    info.height, info.width = record["height"], record["width"]
                for track in record["tracks"]:
                    if self._is_left_out(track):
                        left_out.add(track["id"])
                    elif track["box"] is not None:
                        labels[track["id"]] = track["label"].strip() or UNNAMED
                    elif track["state"] != _REMOVED:
                        info.hidden += 1
            except (KeyError, TypeError, AttributeError) as error:
                raise not_a_record(self._path, line, error) from error
        if not info.length:
            raise TraceError(f"{self._path} holds no record: give the output folder of a run that tracked at least one image")
        if not labels:
            raise TraceError(f"{self._path} shows no object on its {info.length} images, so there is nothing to export")
        if info.length > 1 and last > first:
            info.fps = round((info.length - 1) * 1e9 / (last - first), 3) or DEFAULT_FPS
        info.labels = dict(sorted(labels.items()))
        info.unconfirmed = len(left_out - set(labels))
        return info

    def frames(self) -> Iterator[LabeledFrame]:
        """Yield all images in order. Raises TraceError for a line that is not a record."""
        info = self.info
        for index, (line, record) in enumerate(stored_records(self._path)):
            try:
                tracks = [track for track in record["tracks"] if self._is_visible(track)]
                objects = [self._object(track) for track in sorted(tracks, key=lambda track: int(track["id"]))]
                height, width = (record["height"], record["width"]) if record["height"] else (info.height, info.width)
                self._check_sizes(objects, height, width)
                frame = LabeledFrame(index, record["frame"], record["stamp_ns"], height, width, tuple(objects))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise not_a_record(self._path, line, error) from error
            yield frame

    def _is_left_out(self, track: dict[str, Any]) -> bool:
        return not self._keep_unconfirmed and bool(track["state"] == _TENTATIVE)

    def _is_visible(self, track: dict[str, Any]) -> bool:
        return track["box"] is not None and track["state"] != _REMOVED and not self._is_left_out(track)

    def _object(self, track: dict[str, Any]) -> LabeledObject:
        height, width = track["rle"]["size"]
        x1, y1, x2, y2 = map(float, track["box"])
        score, occluded = float(track["score"] or 0.0), track["state"] == _OCCLUDED
        counts = track["rle"]["counts"]
        if not counts or not counts.isascii():
            raise ValueError(f"the mask of object {track['id']} has the counts {counts!r}")
        rle = Rle(int(height), int(width), counts)
        return LabeledObject(track["id"], self.info.labels[track["id"]], score, (x1, y1, x2, y2), rle, occluded)

    @staticmethod
    def _check_sizes(objects: list[LabeledObject], height: int, width: int) -> None:
        for item in objects:
            if (item.rle.height, item.rle.width) != (height, width):
                raise ValueError(
                    f"the mask of object {item.id} has {item.rle.width} x {item.rle.height} pixels, the image {width} x {height}"
                )


def stored_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of each line of a trace, from 1, with its content.

    Raises:
        TraceError: a line is not JSON.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for line, text in enumerate(file, 1):
            try:
                record = json.loads(text)
            except ValueError as error:
                raise not_a_record(path, line, error) from error
            yield line, record


def not_a_record(path: Path, line: int, error: Exception) -> TraceError:
    """Return the error for a line that is not a record."""
    reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
    return TraceError(f"line {line} of {path} is not a record of a trace ({reason}): track again, or repair the line")


_TENTATIVE, _OCCLUDED, _REMOVED = (state.name.lower() for state in (TrackStatus.TENTATIVE, TrackStatus.OCCLUDED, TrackStatus.REMOVED))
