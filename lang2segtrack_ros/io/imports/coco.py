# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Data sets of COCO whose images are those of one video, in the natural order of their names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from lang2segtrack_ros.io.exports.trace import DEFAULT_FPS, LabeledFrame, LabeledObject
from lang2segtrack_ros.io.imports.labels import (
    LabeledVideo,
    LabelError,
    Score,
    check_id,
    check_label,
    check_size,
    clip_box,
    decode_segmentation,
    find_file,
    object_of_box,
    object_of_mask,
    read_json,
    unique_objects,
)
from lang2segtrack_ros.io.sources import natural_order

SINGLE = "annotations without a track_id, each taken for an object of its own"
CROWDS = "annotations of crowds"
OUTSIDE = "annotations outside their image, or without an area"


class _Image(BaseModel):
    id: int
    width: int
    height: int
    file_name: str = ""
    video_id: int | str | None = None
    frame_id: int | None = None
    stamp_ns: int | None = None


class _Category(BaseModel):
    id: int
    name: str


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: list[float] | None = Field(default=None, min_length=4, max_length=4)
    segmentation: Any = None
    iscrowd: int = 0
    score: Score = 1.0
    track_id: int | None = None
    instance_id: int | None = None
    attributes: dict[str, Any] = {}

    @property
    def object_id(self) -> Any:
        """The id of the object: of CocoVID, of other tools, or of CVAT's attributes."""
        return next((item for item in (self.track_id, self.instance_id, self.attributes.get("track_id")) if item is not None), None)


class _Data(BaseModel):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation]


def read_coco(path: Path, video: str) -> LabeledVideo:
    """Read a data set.

    Args:
        path: the JSON file, or a folder with annotations/*.json or instances.json.
        video: `video_id` of the images to read; empty if there is only one.

    Raises:
        LabelError: the file is not a data set of COCO, or a value is wrong.
    """
    file = find_file(path, ("annotations/*.json", "instances.json", "*.json"))
    data = read_json(file, _Data)
    known = {image.id for image in data.images}
    videos = sorted({str(image.video_id) for image in data.images if image.video_id is not None})
    if video or len(videos) > 1:
        if video not in videos:
            raise LabelError(f"{file} has images of the videos {', '.join(videos) or 'none'}: choose one with --video")
        data.images = [image for image in data.images if str(image.video_id) == video]
    if not data.images:
        raise LabelError(f"{file}: images is empty: export the labels with their images listed")
    left_out: Counter[str] = Counter()
    return LabeledVideo((path if path.is_dir() else file).resolve().stem, _frames(file, data, known, left_out), left_out=left_out)


def _frames(file: Path, data: _Data, known: set[int], left_out: Counter[str]) -> Iterator[LabeledFrame]:
    names = {item.id: check_label(item.name, f"{file}: the category {item.id}") for item in data.categories}
    by_image: dict[int, list[int]] = defaultdict(list)
    for number, item in enumerate(data.annotations):
        if item.image_id not in known:
            raise LabelError(f"{file}: annotations[{number}].image_id is {item.image_id}, but no image has this id")
        if item.category_id not in names:
            raise LabelError(f"{file}: annotations[{number}].category_id is {item.category_id}, but no category has this id")
        by_image[item.image_id].append(number)
    used = {item.object_id for item in data.annotations if isinstance(item.object_id, int)}
    free = max([0, *used]) + 1
    for index, image in enumerate(_ordered(data.images)):
        check_size(image.width, image.height, f"{file}: the image {image.id}")
        objects = []
        for number in by_image[image.id]:
            item, place = data.annotations[number], f"{file}: annotations[{number}]"
            if item.iscrowd:
                left_out[CROWDS] += 1
                continue
            track_id = item.object_id
            if track_id is None:
                left_out[SINGLE] += 1
                track_id, free = free, free + 1
            if not isinstance(track_id, int):
                raise LabelError(f"{place}: the id of the object is {track_id!r}: give a whole number")
            made = _object(item, check_id(track_id, place), names[item.category_id], image, place)
            left_out[OUTSIDE] += made is None
            objects += [] if made is None else [made]
        stamp = image.stamp_ns if image.stamp_ns is not None else round(index * 1e9 / DEFAULT_FPS)
        yield LabeledFrame(index, index, stamp, image.height, image.width, unique_objects(objects, f"{file}: the image {image.id}"))


def _ordered(images: list[_Image]) -> list[_Image]:
    """Return the images in their order in the video."""
    if all(image.frame_id is not None for image in images):
        return sorted(images, key=lambda image: image.frame_id or 0)
    return sorted(images, key=lambda image: (natural_order(Path(image.file_name)), image.id))


def _object(item: _Annotation, track_id: int, label: str, image: _Image, place: str) -> LabeledObject | None:
    if item.segmentation:
        mask = decode_segmentation(item.segmentation, image.height, image.width, f"{place}.segmentation")
        return object_of_mask(track_id, label, mask, item.score)
    if item.bbox is None:
        raise LabelError(f"{place} has neither segmentation nor bbox: give one of them")
    x, y, width, height = item.bbox
    box = clip_box((x, y, x + width, y + height), image.width, image.height)
    return None if box is None else object_of_box(track_id, label, box, (image.height, image.width), item.score)
