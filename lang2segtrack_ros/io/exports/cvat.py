# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""CVAT for video 1.1 (https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/): tracks in XML. Frames count from 0.

annotations.xml   labels, and a track for each object with its shape on each image
images/           the images, if they are placed, to create the task from

Three formats differ in the shape. CVAT's tracks hold boxes or polygons. Its masks have no track, so each mask is a track of one image
here, as CVAT writes it itself; `group_id` is the track id.
"""

from __future__ import annotations

import re
from typing import TextIO
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.io.exports.id_image import EMPTY
from lang2segtrack_ros.io.exports.polygons import outline
from lang2segtrack_ros.io.exports.spool import Spool
from lang2segtrack_ros.io.exports.trace import LabeledFrame, LabeledObject, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Return a text without the control characters that XML cannot hold (https://www.w3.org/TR/xml/#charsets)."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def row_runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the runs of a mask in row-major order, which begin with background: CVAT's encoding of masks."""
    flat = mask.reshape(-1).view(np.uint8)
    changes = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    return [end - start for start, end in zip([0, *changes], [*changes, int(flat.size)])]


class CvatWriter(LabelWriter):
    """A writer of tracks of polygons. A spool regroups the shapes by object."""

    tag = "polygon"

    def begin(self, info: TraceInfo) -> None:
        """Start the spool."""
        super().begin(info)
        self._images_folder = self.folder / "images"
        self._spool = Spool(self.folder / "shapes.part")

    def write(self, frame: LabeledFrame) -> None:
        """Put the shapes of an image into the spool."""
        self.pictures.put(self._images_folder, f"{frame.index:06d}")
        for item in frame.objects:
            shape = self.shape(item)
            if shape:
                self._spool.put(item.id, frame.index, f'occluded="{int(item.is_occluded)}" {shape} z_order="0"')

    def shape(self, item: LabeledObject) -> str:
        """Return the attributes of an object's shape; an empty text if it has none."""
        if not item.area:
            self.left_out[EMPTY] += 1
            return ""
        points = outline(item, self.left_out) + 0.5  # CVAT counts from the corner of the first pixel
        return f'points="{";".join(f"{x:.2f},{y:.2f}" for x, y in points.tolist())}"'

    def end(self) -> None:
        """Write the file."""
        with (self.folder / "annotations.xml").open("w", encoding="utf-8", newline="\n") as file:
            file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            self._write_meta(file)
            for track_id in self.info.labels:
                self._write_tracks(file, track_id)
            file.write("</annotations>\n")
        self._spool.close()

    def _write_meta(self, file: TextIO) -> None:
        info = self.info
        names = dict.fromkeys(xml_text(label) for label in info.categories)
        labels = "".join(f"        <label><name>{escape(name)}</name><attributes></attributes></label>\n" for name in names)
        file.write(
            f"  <meta>\n    <task>\n      <name>{escape(xml_text(info.name))}</name>\n      <size>{info.length}</size>\n"
            f"      <mode>interpolation</mode>\n      <overlap>0</overlap>\n      <start_frame>0</start_frame>\n"
            f"      <stop_frame>{info.length - 1}</stop_frame>\n      <frame_filter></frame_filter>\n      <labels>\n{labels}"
            f"      </labels>\n      <original_size><width>{info.width}</width><height>{info.height}</height></original_size>\n"
            "    </task>\n  </meta>\n"
        )

    def _write_tracks(self, file: TextIO, track_id: int) -> None:
        """Write the track of an object."""
        previous: tuple[int, str] | None = None
        for frame, shape in self._spool.of(track_id):
            if previous is None:
                self._open_track(file, track_id, f'id="{track_id}"')
            elif frame > previous[0] + 1:
                self._write_shape(file, previous[0] + 1, 1, previous[1])
            self._write_shape(file, frame, 0, shape)
            previous = frame, shape
        if previous is not None:
            self._close_track(file, previous)

    def _open_track(self, file: TextIO, track_id: int, ids: str) -> None:
        label = quoteattr(xml_text(self.info.labels[track_id]))
        file.write(f'  <track {ids} label={label} source="auto">\n')

    def _write_shape(self, file: TextIO, frame: int, outside: int, shape: str) -> None:
        """Write a shape; with outside=1, the object is not visible from this image on."""
        file.write(f'    <{self.tag} frame="{frame}" keyframe="1" outside="{outside}" {shape}></{self.tag}>\n')

    def _close_track(self, file: TextIO, previous: tuple[int, str]) -> None:
        """End a track after the image that shows its object for the last time."""
        if previous[0] + 1 < self.info.length:
            self._write_shape(file, previous[0] + 1, 1, previous[1])
        file.write("  </track>\n")


class CvatBoxWriter(CvatWriter):
    """A writer of tracks of boxes."""

    tag = "box"

    def shape(self, item: LabeledObject) -> str:
        """Return the corners."""
        x1, y1, x2, y2 = item.box
        return f'xtl="{x1:.2f}" ytl="{y1:.2f}" xbr="{x2:.2f}" ybr="{y2:.2f}"'


class CvatMaskWriter(CvatWriter):
    """A writer of masks. Each mask is a track of one image."""

    tag = "mask"

    def shape(self, item: LabeledObject) -> str:
        """Return the runs inside the box."""
        if not item.area:
            self.left_out[EMPTY] += 1
            return ""
        x1, y1, x2, y2 = map(int, item.box)
        runs = ", ".join(map(str, row_runs(np.ascontiguousarray(item.mask[y1:y2, x1:x2]))))
        return f'rle="{runs}" left="{x1}" top="{y1}" width="{x2 - x1}" height="{y2 - y1}"'

    def begin(self, info: TraceInfo) -> None:
        """Start the spool."""
        super().begin(info)
        self._count = 0

    def _write_tracks(self, file: TextIO, track_id: int) -> None:
        for frame, shape in self._spool.of(track_id):
            self._open_track(file, track_id, f'id="{self._count}" group_id="{track_id}"')
            self._write_shape(file, frame, 0, shape)
            self._close_track(file, (frame, shape))
            self._count += 1
