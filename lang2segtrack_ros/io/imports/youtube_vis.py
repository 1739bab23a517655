# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""YouTube-VIS: one annotation for each object, with a mask or null for each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lang2segtrack_ros.io.exports.trace import DEFAULT_FPS, LabeledFrame
from lang2segtrack_ros.io.imports.coco import OUTSIDE
from lang2segtrack_ros.io.imports.labels import (
    LabeledVideo,
    LabelError,
    Score,
    check_id,
    check_label,
    check_size,
    decode_segmentation,
    find_file,
    object_of_mask,
    read_json,
    unique_objects,
)


class _Video(BaseModel):
    id: int
    width: int
    height: int
    file_names: list[str]


class _Category(BaseModel):
    id: int
    name: str


class _Annotation(BaseModel):
    id: int
    video_id: int
    category_id: int
    segmentations: list[Any]
    score: Score = 1.0


class _Data(BaseModel):
    videos: list[_Video]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_youtube_vis(path: Path, video: str) -> LabeledVideo:
    """Read the labels of one video.

    Args:
        path: the JSON file, or a folder with it, or with annotations/*.json.
        video: id of the video; empty if there is only one.

    Raises:
        LabelError: the file is not of YouTube-VIS, or a value is wrong.
    """
    file = find_file(path, ("annotations/*.json", "instances.json", "*.json"))
    data = read_json(file, _Data)
    found = [item for item in data.videos if not video or str(item.id) == video]
    if len(found) != 1:
        listing = ", ".join(f"{item.id} ({_name(item)})" for item in data.videos[:10]) or "none"
        raise LabelError(f"{file} has {len(data.videos)} videos, choose one with --video: {listing}")
    left_out: Counter[str] = Counter()
    return LabeledVideo(_name(found[0]), _frames(file, data, found[0], left_out), left_out=left_out)


def _name(video: _Video) -> str:
    first = video.file_names[0] if video.file_names else ""
    return first.partition("/")[0] if "/" in first else f"video{video.id}"


def _frames(file: Path, data: _Data, video: _Video, left_out: Counter[str]) -> Iterator[LabeledFrame]:
    names = {item.id: check_label(item.name, f"{file}: the category {item.id}") for item in data.categories}
    check_size(video.width, video.height, f"{file}: the video {video.id}")
    if not video.file_names:
        raise LabelError(f"{file}: the video {video.id} has no file_names: list its images")
    items = [(f"{file}: annotations[{number}]", item) for number, item in enumerate(data.annotations) if item.video_id == video.id]
    for place, item in items:
        check_id(item.id, place)
        if item.category_id not in names:
            raise LabelError(f"{place}.category_id is {item.category_id}, but no category has this id")
        if len(item.segmentations) != len(video.file_names):
            raise LabelError(
                f"{place} has {len(item.segmentations)} segmentations, but the video has {len(video.file_names)} images: "
                "give a mask or null for each image"
            )
    for index in range(len(video.file_names)):
        objects = []
        for place, item in items:
            value = item.segmentations[index]
            if value is None:
                continue
            mask = decode_segmentation(value, video.height, video.width, f"{place}.segmentations[{index}]")
            made = object_of_mask(item.id, names[item.category_id], mask, item.score)
            left_out[OUTSIDE] += made is None
            objects += [] if made is None else [made]
        stamp = round(index * 1e9 / DEFAULT_FPS)
        yield LabeledFrame(index, index, stamp, video.height, video.width, unique_objects(objects, f"{file}: image {index}"))
