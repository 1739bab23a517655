# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""YOLO segmentation (https://docs.ultralytics.com/datasets/segment/): a text file with polygons for each image.

data.yaml                    folders and names of the classes
labels/train/<frame>.txt     class, x1, y1, x2, y2, ... in fractions of the image; one line for each object, and no track id
images/train/<frame>.jpg     the images, if they are placed
"""

from __future__ import annotations

import yaml

from lang2segtrack_ros.io.exports.id_image import EMPTY
from lang2segtrack_ros.io.exports.polygons import outline
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, make_folder, write_file

IDS = "track ids, for which the format has no field"


class YoloWriter(LabelWriter):
    """A writer of YOLO polygons."""

    has_one_size = False

    def begin(self, info: TraceInfo) -> None:
        """Write the names of the classes."""
        super().begin(info)
        names = {number - 1: label for label, number in info.categories.items()}
        content = {"path": ".", "train": "images/train", "val": "images/train", "names": names}
        write_file(self.folder, "data.yaml", yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode())
        self._labels_folder = make_folder(self.folder / "labels" / "train")
        self._images_folder = self.folder / "images" / "train"
        self.left_out[IDS] = len(info.labels)

    def write(self, frame: LabeledFrame) -> None:
        """Write the polygons of an image; an image without objects gets an empty file, and counts as background."""
        name = f"{frame.index:06d}"
        self.pictures.put(self._images_folder, name)
        lines = []
        for item in frame.objects:
            if not item.area:
                self.left_out[EMPTY] += 1
                continue
            points = outline(item, self.left_out) + 0.25  # readers that truncate and readers that round get the same pixels
            places = (f"{x / frame.width:.6f} {y / frame.height:.6f}" for x, y in points.tolist())
            lines.append(f"{self.info.categories[item.label] - 1} {' '.join(places)}\n")
        write_file(self._labels_folder, f"{name}.txt", "".join(lines).encode())

    def end(self) -> None:
        """Do nothing; each image has a file of its own."""
