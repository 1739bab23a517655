# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of all formats: a writer takes the images of a trace one by one, and counts what its format cannot hold."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from lang2segtrack_ros.io.exports.pictures import Pictures
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo


class LabelWriter(ABC):
    """A writer of one format. The calls are `begin`, `add` for each image, and `end`.

    Args:
        folder: the folder to write into; it exists and is empty.
        pictures: the images, for formats that name or hold them.

    Attributes:
        info: summary of the trace, from `begin` on.
        left_out: number of things that the format cannot hold or changes, by a noun phrase in the plural that names them.
    """

    has_one_size = True
    """True if all images of the format have the size of the first one. Objects on other images are then left out."""

    info: TraceInfo

    def __init__(self, folder: Path, pictures: Pictures) -> None:
        self.folder = folder
        self.pictures = pictures
        self.left_out: Counter[str] = Counter()

    def begin(self, info: TraceInfo) -> None:
        """Start the files. Raises OSError."""
        self.info = info

    def add(self, frame: LabeledFrame) -> None:
        """Add the next image. Raises OSError."""
        if self.has_one_size and (frame.height, frame.width) != (self.info.height, self.info.width):
            self.left_out[f"objects on images of another size than the first, {self.info.width} x {self.info.height}"] += len(frame.objects)
            frame = replace(frame, objects=())
        self.write(frame)

    @abstractmethod
    def write(self, frame: LabeledFrame) -> None:
        """Write the next image, whose size fits the format. Raises OSError."""

    @abstractmethod
    def end(self) -> None:
        """Finish the files. Raises OSError."""


def dump(value: Any) -> str:
    """Return a value as JSON in ASCII, because some readers open files in the encoding of their machine."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def make_folder(folder: Path) -> Path:
    """Create a folder with its parents, and return it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_file(folder: Path, name: str, data: bytes) -> None:
    """Write a file into an existing folder. Raises OSError.

    pathlib interns each part of a path, which would add up over the images of a long recording.
    """
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def one_line(text: str) -> str:
    """Return a text with each run of white space as one space, for formats whose names end at the line end."""
    return " ".join(text.split())
