# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The stored trace of a tracked recording: its records by image, and the states of its tracks."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Any

import numpy as np

from lang2segtrack_ros.history.records import Record
from lang2segtrack_ros.io.sources import DEFAULT_FPS
from lang2segtrack_ros.recordings.review.edits import MAX_ID, EditError
from lang2segtrack_ros.recordings.review.json_lines import JsonLines
from lang2segtrack_ros.recordings.review.timeline import Timeline, state_code

TRACE = "tracks.jsonl"
"""Name of the trace in an output folder of `lang2segtrack track`."""


class StoredTrace:
    """The trace in an output folder of `lang2segtrack track`, read once for its timeline. The file is never written.

    Args:
        folder: the folder.

    Attributes:
        folder: the folder.
        timeline: the states of the tracks.
        numbers: number of each image in the recording, as in the trace.

    Raises:
        EditError: the folder holds no trace, or an empty one.
        LineError: a line is not a record.
        OSError: the file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / TRACE
        if not path.is_file():
            raise EditError(f"{folder} holds no {TRACE}: give the output folder of lang2segtrack track")
        self._lines = JsonLines(path)
        self.numbers: array[int] = array("q")
        self.timeline = self._scan()
        if not self.timeline.images:
            raise EditError(f"{path} holds no image: give the output of a run that tracked at least one")

    def _scan(self) -> Timeline:
        codes: dict[int, bytearray] = {}
        labels: dict[int, str] = {}
        number = 0
        for number, record in enumerate(self._lines.scan(), 1):
            try:
                _check_record(record)
                self.numbers.append(record["frame"])
                for track in record["tracks"]:
                    states = codes.setdefault(track["id"], bytearray())
                    if len(states) == number:
                        raise ValueError(f"track {track['id']} stands there twice")
                    states.extend(bytes(number - 1 - len(states)))
                    states.append(state_code(track))
                    labels[track["id"]] = track["label"]
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise self._lines.error(number - 1, error) from error
        arrays = {track: np.frombuffer(bytes(states.ljust(number, b"\0")), np.uint8) for track, states in sorted(codes.items())}
        return Timeline(number, arrays, labels)

    @property
    def digest(self) -> str:
        """Return a text that differs for other traces."""
        return self._lines.digest

    @property
    def images(self) -> int:
        """Return the number of images."""
        return self.timeline.images

    @property
    def fps(self) -> float:
        """Return the images per second, from the stamps; 30 if they do not tell."""
        first, last = (self.record(image)["stamp_ns"] for image in (0, self.images - 1))
        return float((self.images - 1) * 1e9 / (last - first)) if last > first else DEFAULT_FPS

    def position(self, number: int) -> int | None:
        """Return the position of an image, given its number in the recording. None if the trace leaves this image out."""
        position = bisect_left(self.numbers, number)
        return position if position < len(self.numbers) and self.numbers[position] == number else None

    def record(self, image: int) -> Record:
        """Return the record of an image. Raises LineError if the file has changed, and IndexError if there is no such image."""
        return self._lines.read(image)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _check_record(record: dict[str, Any]) -> None:
    for name in ("frame", "stamp_ns", "height", "width"):
        if type(record[name]) is not int:
            raise TypeError(f"{name} is {record[name]!r}")
    for track in record["tracks"]:
        if type(track["id"]) is not int or not 1 <= track["id"] <= MAX_ID or not isinstance(track["label"], str):
            raise TypeError(f"the track {track['id']!r} has no id or no label")
