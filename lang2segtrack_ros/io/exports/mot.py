# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""MOT Challenge (https://motchallenge.net/instructions): boxes as lines of numbers. Frames and pixels count from 1.

gt/gt.txt        frame, id, left, top, width, height, 1, class, visibility (1: it is unknown)
gt/labels.txt    name of class 1, class 2, ..., one on each line, as CVAT reads it
det/det.txt      frame, -1, left, top, width, height, score, -1, -1, -1
seqinfo.ini      name, frame rate, length and size
img1/            the images, if they are placed
"""

from __future__ import annotations

from contextlib import ExitStack

from lang2segtrack_ros.io.exports.pictures import JPEG, PNG
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, make_folder, one_line, write_file


class MotWriter(LabelWriter):
    """A writer of the MOT Challenge."""

    def begin(self, info: TraceInfo) -> None:
        """Start the files."""
        super().begin(info)
        names = "".join(f"{one_line(label)}\n" for label in info.categories)
        truth, detections = make_folder(self.folder / "gt"), make_folder(self.folder / "det")
        write_file(truth, "labels.txt", names.encode())
        self._stack = ExitStack()
        self._truth = self._stack.enter_context((truth / "gt.txt").open("w", encoding="ascii"))
        self._detections = self._stack.enter_context((detections / "det.txt").open("w", encoding="ascii"))
        self._images_folder = self.folder / "img1"
        self._suffixes: tuple[str, ...] = (JPEG, PNG)

    def write(self, frame: LabeledFrame) -> None:
        """Write the boxes of an image."""
        name = self.pictures.put(self._images_folder, f"{frame.index + 1:06d}", self._suffixes)
        self._suffixes = (name[name.rindex(".") :],)  # seqinfo.ini names one type for all images
        for item in frame.objects:
            x1, y1, x2, y2 = item.box
            box = f"{x1 + 1:g},{y1 + 1:g},{x2 - x1:g},{y2 - y1:g}"
            self._truth.write(f"{frame.index + 1},{item.id},{box},1,{self.info.categories[item.label]},1\n")
            self._detections.write(f"{frame.index + 1},-1,{box},{item.score:.4f},-1,-1,-1\n")

    def end(self) -> None:
        """Finish the files."""
        self._stack.close()
        info = self.info
        lines = (
            "[Sequence]",
            f"name={info.name}",
            "imDir=img1",
            f"frameRate={info.fps:g}",
            f"seqLength={info.length}",
            f"imWidth={info.width}",
            f"imHeight={info.height}",
            f"imExt={self._suffixes[0]}",
        )
        write_file(self.folder, "seqinfo.ini", ("\n".join(lines) + "\n").encode())
