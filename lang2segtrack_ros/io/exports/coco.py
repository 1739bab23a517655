# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A data set of COCO (https://cocodataset.org/#format-data) with run-length masks and a track id for each annotation.

annotations/instances.json   images, categories and annotations
images/                      the images, if they are placed
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack

from lang2segtrack_ros.io.exports.spool import JsonArray
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, dump, make_folder


class CocoWriter(LabelWriter):
    """A writer of COCO. Images and annotations are written as they come; the annotations wait in a file of their own."""

    has_one_size = False

    def begin(self, info: TraceInfo) -> None:
        """Start the file."""
        super().begin(info)
        target = make_folder(self.folder / "annotations") / "instances.json"
        self._images_folder = self.folder / "images"
        self._waiting = self.folder / "annotations.part"
        self._count = 0
        self._stack = ExitStack()
        self._file = self._stack.enter_context(target.open("w", encoding="ascii"))
        self._rest = self._stack.enter_context(self._waiting.open("w", encoding="ascii"))
        categories = [{"id": number, "name": label, "supercategory": ""} for label, number in info.categories.items()]
        about = {"description": f"tracked by lang2segtrack: {info.name}"}
        self._file.write(f'{{"info":{dump(about)},\n"licenses":[],\n"categories":{dump(categories)},\n"images":')
        self._images = JsonArray(self._file.write)
        self._annotations = JsonArray(self._rest.write)

    def write(self, frame: LabeledFrame) -> None:
        """Write an image and its annotations."""
        stem = f"{frame.index:06d}"
        placed = self.pictures.put(self._images_folder, stem)
        image_id = frame.index + 1
        image = {"id": image_id, "file_name": placed if self.pictures.placed else self.pictures.name(placed)}
        size = {"width": frame.width, "height": frame.height}
        self._images.add({**image, **size, "video_id": 1, "frame_id": frame.index, "stamp_ns": frame.stamp_ns})
        for item in frame.objects:
            self._count += 1
            x1, y1, x2, y2 = item.box
            self._annotations.add(
                {
                    "id": self._count,
                    "image_id": image_id,
                    "category_id": self.info.categories[item.label],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": item.area,
                    "segmentation": {"size": [item.rle.height, item.rle.width], "counts": item.rle.counts},
                    "iscrowd": 0,
                    "track_id": item.id,
                    "score": round(item.score, 4),
                }
            )

    def end(self) -> None:
        """Finish the file."""
        self._images.end()
        self._annotations.end()
        self._file.write(',\n"annotations":')
        self._rest.flush()
        with self._waiting.open(encoding="ascii") as rest:
            shutil.copyfileobj(rest, self._file)
        self._file.write("}\n")
        self._stack.close()
        self._waiting.unlink()
