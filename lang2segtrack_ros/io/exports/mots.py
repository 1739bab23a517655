# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""KITTI MOTS (https://www.vision.rwth-aachen.de/page/mots): masks as lines of text, and as 16-bit pictures. Frames count from 0.

instances_txt/0000.txt        frame, class * 1000 + number, class, height, width, mask; separated by spaces
instances/0000/<frame>.png    class * 1000 + number for each pixel, 0 for none
labels.txt                    class, number, track id and label of each object
image_02/0000/<frame>.png     the images, if they are placed

KITTI MOTS has the classes car (1) and pedestrian (2), and ignored regions (10). Other labels get the next numbers.
"""

from __future__ import annotations

import cv2
import numpy as np

from lang2segtrack_ros.io.exports.id_image import compact_ids, id_image, window
from lang2segtrack_ros.io.exports.pictures import PNG
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, make_folder, one_line, write_file
from lang2segtrack_ros.types.rle import Rle

CLASSES = {"car": 1, "pedestrian": 2}
IGNORED, MAX_CLASS, MAX_NUMBER, FACTOR = 10, 64, 999, 1000
SEQUENCE = "0000"
BEYOND = f"masks of objects beyond {MAX_NUMBER} of a class, or of classes beyond {MAX_CLASS}"


def class_numbers(labels: list[str]) -> dict[str, int]:
    """Return the number of each label. Labels beyond the range of a 16-bit picture are missing."""
    free = (number for number in range(3, MAX_CLASS + 1) if number != IGNORED)
    numbers = ((label, CLASSES.get(label.lower()) or next(free, None)) for label in labels)
    return {label: number for label, number in numbers if number is not None}


class MotsWriter(LabelWriter):
    """A writer of KITTI MOTS. Masks must not overlap there, see `id_image`."""

    def begin(self, info: TraceInfo) -> None:
        """Start the files."""
        super().begin(info)
        self._values: dict[int, int] = {}
        classes = class_numbers(list(info.categories))
        for number in sorted(set(classes.values())):
            ids = [track_id for track_id, label in info.labels.items() if classes.get(label) == number]
            self._values |= {track_id: number * FACTOR + value for track_id, value in compact_ids(ids, MAX_NUMBER).items()}
        rows = sorted((value, track_id) for track_id, value in self._values.items())
        lines = [f"{value // FACTOR} {value % FACTOR} {track_id} {one_line(info.labels[track_id])}\n" for value, track_id in rows]
        write_file(self.folder, "labels.txt", "".join(lines).encode())
        self._masks_folder = make_folder(self.folder / "instances" / SEQUENCE)
        self._images_folder = self.folder / "image_02" / SEQUENCE
        self._text = (make_folder(self.folder / "instances_txt") / f"{SEQUENCE}.txt").open("w", encoding="ascii")

    def write(self, frame: LabeledFrame) -> None:
        """Write the masks of an image."""
        name = f"{frame.index:06d}"
        self.pictures.put(self._images_folder, name, (PNG,))
        ids, objects = id_image(frame, self.left_out)
        pixels = np.zeros(ids.shape, np.uint16)
        for item in objects:
            value = self._values.get(item.id)
            if value is None:
                self.left_out[BEYOND] += 1
                continue
            place = window(item)
            mask = np.zeros(ids.shape, bool)
            mask[place] = ids[place] == item.id
            pixels[place][mask[place]] = value
            rows, columns = place
            runs = Rle.encode(mask, (columns.start, rows.start, columns.stop, rows.stop)).counts
            self._text.write(f"{frame.index} {value} {value // FACTOR} {frame.height} {frame.width} {runs}\n")
        write_file(self._masks_folder, f"{name}.png", cv2.imencode(".png", pixels)[1].tobytes())

    def end(self) -> None:
        """Finish the files."""
        self._text.close()
