# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Segments: the new masks of one track after a correction, in a file of JSON lines beside the journal.

    {"image": 12, "track": {"id": 3, ...}}

There is one line for each image of the segment, in order. `track` is the record of the object, see `history.records`; null if it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from lang2segtrack_ros.history.records import Record, dumps
from lang2segtrack_ros.recordings.review.edits import Correct, EditError
from lang2segtrack_ros.recordings.review.json_lines import JsonLines
from lang2segtrack_ros.recordings.review.timeline import States, state_code

SEGMENTS = "edits"
"""Name of the folder of segments, in the folder of the trace."""


def new_segment_name(folder: Path) -> str:
    """Return a name of a segment that no file has.

    Args:
        folder: folder of the trace.
    """
    names = [path.stem.removeprefix("segment_") for path in (folder / SEGMENTS).glob("segment_*.jsonl")]
    return f"segment_{max((int(name) for name in names if name.isdecimal()), default=0) + 1:06d}.jsonl"


def write_segment(folder: Path, name: str, first: int, tracks: list[Record | None]) -> None:
    """Write a segment. It is whole and on the disk when the call returns.

    Args:
        folder: folder of the trace.
        name: name of the segment.
        first: its first image.
        tracks: the record of the object on each image from there on.

    Raises:
        OSError: the file cannot be written.
    """
    path = folder / SEGMENTS / name
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        for image, track in enumerate(tracks, first):
            file.write(dumps({"image": image, "track": track}))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    for parent in (path.parent, folder):
        opened = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class Segment:
    """A stored segment, read once for its states.

    Args:
        folder: folder of the trace.
        edit: the correction.

    Attributes:
        states: state of the track on each image of the segment, see `Timeline`.

    Raises:
        EditError: the file is missing, or does not fit the correction.
        LineError: a line is not a part of a segment.
    """

    def __init__(self, folder: Path, edit: Correct) -> None:
        path = folder / SEGMENTS / edit.segment
        try:
            self._lines = JsonLines(path)
        except OSError as error:
            raise EditError(f"the masks of a correction cannot be read ({error}): restore {path}, or undo the correction") from error
        self._first = edit.first
        self.states = self._scan(edit)

    def _scan(self, edit: Correct) -> States:
        codes = bytearray()
        for number, line in enumerate(self._lines.scan()):
            try:
                if line["image"] != edit.first + number:
                    raise ValueError(f"image {line['image']!r} stands in the place of image {edit.first + number}")
                codes.append(0 if line["track"] is None else state_code(line["track"]))
            except (KeyError, TypeError, ValueError) as error:
                raise self._lines.error(number, error) from error
        if len(codes) != edit.last - edit.first + 1:
            raise EditError(
                f"{self._lines.path} holds {len(codes)} images instead of {edit.last - edit.first + 1}: restore it, or undo the correction"
            )
        return np.frombuffer(bytes(codes), np.uint8)

    def track(self, image: int) -> Record | None:
        """Return the record of the object on an image of the segment; None if it is absent."""
        track: Record | None = self._lines.read(image - self._first)["track"]
        return track

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
