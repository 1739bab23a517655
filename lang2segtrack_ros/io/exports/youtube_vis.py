# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""YouTube-VIS (https://youtube-vos.org/dataset/vis/): one annotation for each object, with a mask or null for each image.

annotations/instances.json    videos, categories and annotations; the runs of the masks are lists, as in the published ground truth
results/results.json          the same masks as results, whose runs are compressed
JPEGImages/<sequence>/        the images, if they are placed
"""

from __future__ import annotations

from lang2segtrack_ros.io.exports.spool import JsonArray, Spool, Write
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, dump, make_folder

_FILES = 0  # "track" of the file names; ids of tracks are above 0
_LISTS = ("segmentations", "bboxes", "areas")
_RESULTS = ("compressed",)


class YoutubeVisWriter(LabelWriter):
    """A writer of YouTube-VIS. A spool regroups the masks by object."""

    def begin(self, info: TraceInfo) -> None:
        """Start the spools."""
        super().begin(info)
        for name in ("annotations", "results"):
            make_folder(self.folder / name)
        self._images_folder = self.folder / "JPEGImages" / info.name
        self._spools = {name: Spool(self.folder / f"{name}.part") for name in (*_LISTS, *_RESULTS, "names")}
        self._scores: dict[int, tuple[float, int]] = {}

    def write(self, frame: LabeledFrame) -> None:
        """Put the objects of an image into the spools."""
        name = self.pictures.put(self._images_folder, f"{frame.index:06d}")
        name = name if self.pictures.placed else self.pictures.name(name)
        self._spools["names"].put(_FILES, frame.index, dump(f"{self.info.name}/{name}"))
        for item in frame.objects:
            x1, y1, x2, y2 = item.box
            size = [item.rle.height, item.rle.width]
            mask = {"size": size, "counts": item.runs}
            compressed = {"size": size, "counts": item.rle.counts}
            for key, value in zip((*_LISTS, *_RESULTS), (mask, [x1, y1, x2 - x1, y2 - y1], item.area, compressed)):
                self._spools[key].put(item.id, frame.index, dump(value))
            total, count = self._scores.get(item.id, (0.0, 0))
            self._scores[item.id] = total + item.score, count + 1

    def end(self) -> None:
        """Write the file."""
        info = self.info
        size = {"width": info.width, "height": info.height, "length": info.length}
        with (self.folder / "annotations" / "instances.json").open("w", encoding="ascii") as file:
            about = {"description": f"tracked by lang2segtrack: {info.name}"}
            categories = [{"id": number, "name": label, "supercategory": ""} for label, number in info.categories.items()]
            file.write(f'{{"info":{dump(about)},\n"licenses":[],\n"categories":{dump(categories)},\n')
            file.write(f'"videos":[{dump({"id": 1, **size})[:-1]},"file_names":')
            self._write_list(file.write, "names", _FILES)
            file.write('}],\n"annotations":[')
            for count, (track_id, (total, seen)) in enumerate(sorted(self._scores.items())):
                category = self.info.categories[info.labels[track_id]]
                head = {"id": track_id, "video_id": 1, "category_id": category, "iscrowd": 0, "score": round(total / seen, 4), **size}
                file.write(f"{',' if count else ''}\n{dump(head)[:-1]}")
                for name in _LISTS:
                    file.write(f',"{name}":')
                    self._write_list(file.write, name, track_id)
                file.write("}")
            file.write("]}\n")
        with (self.folder / "results" / "results.json").open("w", encoding="ascii") as file:
            file.write("[")
            for count, (track_id, (total, seen)) in enumerate(sorted(self._scores.items())):
                category = self.info.categories[info.labels[track_id]]
                head = {"video_id": 1, "category_id": category, "score": round(total / seen, 4)}
                file.write(f'{"," if count else ""}\n{dump(head)[:-1]},"segmentations":')
                self._write_list(file.write, "compressed", track_id)
                file.write("}")
            file.write("]\n")
        for spool in self._spools.values():
            spool.close()

    def _write_list(self, write: Write, name: str, track_id: int) -> None:
        """Write the entries of an object for all images as an array."""
        array = JsonArray(write)
        for text in self._spools[name].padded(track_id, self.info.length):
            array.add_text(text)
        array.end()
