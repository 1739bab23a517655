# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""DAVIS 2017 (https://davischallenge.org): one picture with a palette for each image, whose pixels are the numbers of the objects.

Annotations/Full-Resolution/<sequence>/<frame>.png    0: background
ImageSets/2017/val.txt                                name of the sequence
labels.txt                                            number, track id and label of each object
JPEGImages/Full-Resolution/<sequence>/<frame>.jpg     the images, if they are placed
"""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.io.exports.id_image import compact_ids, davis_palette, id_image, indexed_png, window
from lang2segtrack_ros.io.exports.pictures import JPEG
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, make_folder, one_line, write_file

RESOLUTION = "Full-Resolution"
MAX_NUMBER = 254  # 255 marks pixels that an evaluation ignores
BEYOND = f"masks of objects beyond {MAX_NUMBER}"


class DavisWriter(LabelWriter):
    """A writer of DAVIS. Masks cannot overlap there, see `id_image`."""

    has_one_size = False

    def begin(self, info: TraceInfo) -> None:
        """Number the objects."""
        super().begin(info)
        self._numbers = compact_ids(info.labels, MAX_NUMBER)
        self._palette = davis_palette()
        self._masks_folder = make_folder(self.folder / "Annotations" / RESOLUTION / info.name)
        self._images_folder = self.folder / "JPEGImages" / RESOLUTION / info.name
        lines = [f"{number} {track_id} {one_line(info.labels[track_id])}\n" for track_id, number in self._numbers.items()]
        write_file(self.folder, "labels.txt", "".join(lines).encode())
        write_file(make_folder(self.folder / "ImageSets" / "2017"), "val.txt", f"{info.name}\n".encode())

    def write(self, frame: LabeledFrame) -> None:
        """Write the picture of an image."""
        name = f"{frame.index:05d}"
        self.pictures.put(self._images_folder, name, (JPEG,))
        ids, objects = id_image(frame, self.left_out)
        pixels = np.zeros(ids.shape, np.uint8)
        for item in objects:
            if item.id in self._numbers:
                place = window(item)
                pixels[place][ids[place] == item.id] = self._numbers[item.id]
            else:
                self.left_out[BEYOND] += 1
        write_file(self._masks_folder, f"{name}.png", indexed_png(pixels, self._palette))

    def end(self) -> None:
        """Do nothing; each picture is a file of its own."""
