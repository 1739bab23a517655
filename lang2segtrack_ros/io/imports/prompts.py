# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Labels as files of this package: prompts for `lang2segtrack track --prompts`, and a trace with the truth.

prompts.yaml      the first appearance of each object, as a mask or, without one, as a box
masks/<id>.png    its mask
tracks.jsonl      all labels as a trace; `lang2segtrack export` reads it
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import yaml

from lang2segtrack_ros.history.records import Record, dumps
from lang2segtrack_ros.io.exports.trace import LabeledFrame, LabeledObject
from lang2segtrack_ros.io.exports.writer import make_folder, write_file
from lang2segtrack_ros.io.imports.labels import LabeledVideo, LabelError
from lang2segtrack_ros.types.results import Source, TrackStatus


def write_prompts(video: LabeledVideo, folder: Path) -> list[str]:
    """Write prompts and trace. Return sentences on what was written and left out.

    Args:
        video: the labels.
        folder: the folder; it exists.

    Raises:
        LabelError: there is no object, or a label is wrong.
        OSError: a file cannot be written.
    """
    lines: list[str] = []
    seen: set[int] = set()
    images = shown = 0
    with (folder / "tracks.jsonl").open("wb") as file:
        for frame in video.frames:
            new = [item for item in frame.objects if item.id not in seen]
            lines += [_prompt(item, frame.index, folder) for item in new]
            seen |= {item.id for item in new}
            file.write(dumps(_record(frame, [item.id for item in new])))
            images, shown = images + 1, shown + len(frame.objects)
    if not seen:
        raise LabelError(f"{video.name} has no object on its {images} images, so there is nothing to import")
    write_file(folder, "prompts.yaml", "".join(lines).encode())
    left_out = [f"{count} {what}" for what, count in sorted(video.left_out.items()) if count]
    return [f"{len(seen)} objects, {shown} times visible on {images} images of {video.name}", *left_out]


def _prompt(item: LabeledObject, frame: int, folder: Path) -> str:
    """Write the mask of an object, and return its prompt as a line of YAML."""
    shape: dict[str, object] = {"box": list(item.box)}
    if item.area:
        name = f"masks/{item.id}.png"
        write_file(make_folder(folder / "masks"), f"{item.id}.png", cv2.imencode(".png", item.mask.astype(np.uint8) * 255)[1].tobytes())
        shape = {"mask": name}
    entry = {"at": frame, **shape, "label": item.label}
    return str(yaml.safe_dump([entry], default_flow_style=None, allow_unicode=True, sort_keys=False, width=math.inf))


def _record(frame: LabeledFrame, prompted: list[int]) -> Record:
    return {
        "frame": frame.number,
        "stamp_ns": frame.stamp_ns,
        "height": frame.height,
        "width": frame.width,
        "prompted": prompted,
        "tracks": [_track(item) for item in frame.objects],
    }


def _track(item: LabeledObject) -> Record:
    """Return the record of an object. All its values that only a tracker knows are null."""
    return {
        "id": item.id,
        "label": item.label,
        "state": TrackStatus.TRACKED.name.lower(),
        "source": Source.FORWARD.value,
        "score": round(item.score, 6),
        "box": list(item.box),
        "rle": {"size": [item.rle.height, item.rle.width], "counts": item.rle.counts},
        "predicted_iou": None,
        "object_score": None,
        "motion_score": None,
        "stable_frames": 0,
        "frames_since_seen": 0,
        "agreement": None,
        "confidence": None,
    }
