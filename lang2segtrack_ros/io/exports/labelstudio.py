# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Label Studio (https://labelstud.io/tags/videorectangle): a task with a video and a region of boxes for each object. Frames count from 1.

tasks.json             the task; `data.video` is the name of the video, to be replaced by its address in Label Studio
labeling_config.xml    the labeling interface of the project
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from lang2segtrack_ros.io.exports.cvat import xml_text
from lang2segtrack_ros.io.exports.spool import JsonArray, Spool
from lang2segtrack_ros.io.exports.trace import LabeledFrame, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter, dump, write_file

MASKS = "masks, because regions of a video are boxes; the boxes are written"


class LabelStudioWriter(LabelWriter):
    """A writer of Label Studio. A spool regroups the boxes by object."""

    def begin(self, info: TraceInfo) -> None:
        """Start the spool."""
        super().begin(info)
        self._spool = Spool(self.folder / "boxes.part")
        labels = "".join(f"    <Label value={quoteattr(xml_text(label))}/>\n" for label in info.categories)
        config = (
            f'<View>\n  <Labels name="labels" toName="video">\n{labels}  </Labels>\n'
            f'  <Video name="video" value="$video" framerate="{info.fps:g}"/>\n  <VideoRectangle name="box" toName="video"/>\n</View>\n'
        )
        write_file(self.folder, "labeling_config.xml", config.encode())

    def write(self, frame: LabeledFrame) -> None:
        """Put the boxes of an image into the spool, in percent of the image."""
        for item in frame.objects:
            x1, y1, x2, y2 = item.box
            values = (100 * x1 / frame.width, 100 * y1 / frame.height, 100 * (x2 - x1) / frame.width, 100 * (y2 - y1) / frame.height)
            self._spool.put(item.id, frame.index, ",".join(f"{value:.6f}" for value in values))
        self.left_out[MASKS] += sum(item.area > 0 for item in frame.objects)

    def end(self) -> None:
        """Write the task."""
        info = self.info
        with (self.folder / "tasks.json").open("w", encoding="ascii") as file:
            file.write(f'[{{"data":{{"video":{dump(f"{info.name}.mp4")}}},"predictions":[{{"model_version":"lang2segtrack","result":[')
            for count, (track_id, label) in enumerate(info.labels.items()):
                head = {"id": f"track_{track_id}", "type": "videorectangle", "from_name": "box", "to_name": "video", "origin": "prediction"}
                duration = round(info.length / info.fps, 3)
                value = {"framesCount": info.length, "duration": duration, "labels": [xml_text(label)]}
                file.write(
                    f'{"," if count else ""}\n{dump(head)[:-1]},"meta":{{"track_id":{track_id}}},"value":{dump(value)[:-1]},"sequence":'
                )
                array = JsonArray(file.write)
                for box in self._sequence(track_id):
                    array.add(box)
                array.end()
                file.write("}}")
            file.write("]}]}]\n")
        self._spool.close()

    def _sequence(self, track_id: int) -> Iterator[dict[str, object]]:
        """Yield the boxes of an object. The last box before a gap is not enabled: Label Studio shows nothing until the next one."""
        waiting: tuple[int, str] | None = None
        for frame, text in self._spool.of(track_id):
            if waiting is not None:
                yield self._box(*waiting, enabled=frame == waiting[0] + 1)
            waiting = frame, text
        if waiting is not None:
            yield self._box(*waiting, enabled=waiting[0] + 1 == self.info.length)

    def _box(self, frame: int, text: str, enabled: bool) -> dict[str, object]:
        x, y, width, height = map(float, text.split(","))
        time = round((frame + 1) / self.info.fps, 4)
        return {"frame": frame + 1, "time": time, "x": x, "y": y, "width": width, "height": height, "rotation": 0, "enabled": enabled}
