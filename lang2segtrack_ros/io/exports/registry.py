# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""All formats by name."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.io.exports.coco import CocoWriter
from lang2segtrack_ros.io.exports.cvat import CvatBoxWriter, CvatMaskWriter, CvatWriter
from lang2segtrack_ros.io.exports.davis import DavisWriter
from lang2segtrack_ros.io.exports.labelstudio import LabelStudioWriter
from lang2segtrack_ros.io.exports.mot import MotWriter
from lang2segtrack_ros.io.exports.mots import MotsWriter
from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.io.exports.writer import LabelWriter
from lang2segtrack_ros.io.exports.yolo import YoloWriter
from lang2segtrack_ros.io.exports.youtube_vis import YoutubeVisWriter


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        name: name on the command line.
        writer: its writer.
        content: shapes and ids that it holds, for the documentation.
        files: its most important files.
        readers: tools that open it, and what they need.
    """

    name: str
    writer: type[LabelWriter]
    content: str
    files: str
    readers: str


FORMATS = {
    item.name: item
    for item in (
        Format("coco", CocoWriter, "masks, boxes, ids, scores", "`annotations/instances.json`", "pycocotools, FiftyOne, detectron2"),
        Format(
            "ytvis",
            YoutubeVisWriter,
            "masks, boxes, ids, scores",
            "`annotations/instances.json`",
            "TrackEval, training of video segmentation",
        ),
        Format("mot", MotWriter, "boxes, ids", "`gt/gt.txt`, `det/det.txt`, `seqinfo.ini`", "TrackEval, CVAT (zip `gt`)"),
        Format("mots", MotsWriter, "masks without overlaps, ids", "`instances_txt`, `instances`", "TrackEval, tools of KITTI MOTS"),
        Format(
            "davis", DavisWriter, "masks without overlaps, ids", "`Annotations`, `ImageSets`", "DAVIS tools, `lang2segtrack bench davis`"
        ),
        Format("cvat", CvatWriter, "polygons, ids", "`annotations.xml`", "CVAT 1.1, in a task of the same images"),
        Format("cvat-box", CvatBoxWriter, "boxes, ids", "`annotations.xml`", "CVAT 1.1, in a task of the same images"),
        Format("cvat-mask", CvatMaskWriter, "masks, ids as groups", "`annotations.xml`", "CVAT 1.1, in a task of the same images"),
        Format(
            "labelstudio", LabelStudioWriter, "boxes, ids", "`tasks.json`, `labeling_config.xml`", "Label Studio, after `data.video` is set"
        ),
        Format("yolo-seg", YoloWriter, "polygons", "`data.yaml`, `labels`", "YOLO training, supervision; needs the images"),
    )
}
"""The formats by name."""


def parse_formats(values: list[str]) -> list[Format]:
    """Return the formats of an option that may be repeated and may hold a list with commas. Raises TraceError for an unknown name."""
    names = dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip())
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise TraceError(f'there is no format "{unknown[0]}"; the formats are {", ".join(FORMATS)}')
    return [FORMATS[name] for name in names]
