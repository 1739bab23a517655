# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""CVAT for video 1.1: tracks of boxes, polygons or masks in XML; see `io.exports.cvat`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lang2segtrack_ros.io.exports.polygons import fill
from lang2segtrack_ros.io.exports.trace import LabeledObject
from lang2segtrack_ros.io.imports.labels import (
    MAX_SIDE,
    LabeledVideo,
    LabelError,
    check_id,
    check_label,
    check_size,
    clip_box,
    find_file,
    numbered_frames,
    object_of_box,
    object_of_mask,
)

SHAPES = ("box", "polygon", "mask")
OTHER_SHAPES = ("polyline", "points", "cuboid", "skeleton", "ellipse")
OTHERS = "shapes that are no boxes, polygons or masks"
OUTSIDE = "shapes outside their image, or without an area"
INTERPOLATED = "boxes interpolated between key frames"
REPEATED = "polygons and masks repeated from the key frame before"
Attributes = Mapping[str, str]


@dataclass
class _Track:
    id: int
    label: str
    place: str
    shapes: list[tuple[str, Attributes]] = field(default_factory=list)


def read_cvat(path: Path, video: str) -> LabeledVideo:
    """Read the labels of a task.

    Args:
        path: annotations.xml, or its folder.
        video: must be empty; a file has one task.

    Raises:
        LabelError: the file is not of CVAT for video, or a value is wrong.
    """
    if video:
        raise LabelError("--video is for files with several videos: export one task of CVAT into one file")
    file = find_file(path, ("annotations.xml", "*.xml"))
    left_out: Counter[str] = Counter()
    root, tracks = _read(file, left_out)
    width, height = (_number(root, f"original_size/{name}", file) for name in ("width", "height"))
    check_size(width, height, f"{file}: original_size")
    start = _number(root, "start_frame", file, 0)
    length = _number(root, "size", file)
    if length < 1:
        raise LabelError(f"{file}: size is {length}: it is the number of images, above 0")
    objects: dict[int, list[LabeledObject]] = defaultdict(list)
    for track in tracks:
        for frame, kind, values in _expand(track, start, length, left_out):
            made = _object(track, kind, values, (height, width), f"{track.place}, frame {frame + start}")
            left_out[OUTSIDE] += made is None
            objects[frame] += [] if made is None else [made]
    name = root.findtext(".//meta/*/name") or file.parent.name
    return LabeledVideo(name, numbered_frames(objects, length, (height, width), 30.0), left_out=left_out)


def _read(file: Path, left_out: Counter[str]) -> tuple[ElementTree.Element, list[_Track]]:
    """Return the root, with the metadata, and the tracks."""
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # also for unknown encodings
        raise LabelError(f"{file} is not valid XML ({error}): is the file cut, or of another format?") from error
    if root.tag != "annotations":
        raise LabelError(f"{file} begins with <{root.tag}>, not with <annotations>: export the task as CVAT for video 1.1")
    if root.find("image") is not None:
        raise LabelError(f"{file} is of CVAT for images, which has no tracks: export the task as CVAT for video 1.1")
    elements = root.findall("track")
    ids = [_whole(item.attrib, "id", f"{file}: a track") for item in elements]
    shift = 1 if 0 in ids else 0  # CVAT counts from 0, ids of objects from 1
    tracks = []
    for number, element in zip(ids, elements):
        place = f"{file}: track {number}"
        is_mask = element.find("mask") is not None
        group = _whole(element.attrib, "group_id", place, 0) if is_mask else 0
        track = _Track(check_id(group or number + shift, place), check_label(_text(element.attrib, "label", place), place), place)
        for shape in element:
            if shape.tag in SHAPES:
                track.shapes.append((shape.tag, shape.attrib))
            elif shape.tag in OTHER_SHAPES:
                left_out[OTHERS] += 1
        tracks.append(track)
    return root, tracks


def _number(root: ElementTree.Element, name: str, file: Path, default: int | None = None) -> int:
    """Return a number of the metadata of a task or a job."""
    text = root.findtext(f".//meta/*/{name}") or root.findtext(f".//meta/{name}")
    if text is None and default is not None:
        return default
    try:
        return int(text or "")
    except ValueError:
        raise LabelError(f"{file}: <{name}> in <meta> is {text!r}: it must be a whole number") from None


def _text(attributes: Attributes, name: str, place: str) -> str:
    if name not in attributes:
        raise LabelError(f"{place} has no attribute {name}: export the task as CVAT for video 1.1")
    return attributes[name]


def _whole(attributes: Attributes, name: str, place: str, default: int | None = None) -> int:
    if default is not None and name not in attributes:
        return default
    text = _text(attributes, name, place)
    try:
        return int(text)
    except ValueError:
        raise LabelError(f"{place}: {name} is {text!r}: it must be a whole number") from None


def _float(attributes: Attributes, name: str, place: str) -> float:
    text = _text(attributes, name, place)
    try:
        return float(text)
    except ValueError:
        raise LabelError(f"{place}: {name} is {text!r}: it must be a number") from None


def _expand(track: _Track, start: int, length: int, left_out: Counter[str]) -> Iterator[tuple[int, str, Attributes]]:
    """Yield the shape of each image that shows the object. CVAT shows an object until a shape with outside=1."""
    shapes = ((_whole(values, "frame", track.place) - start, kind, values) for kind, values in track.shapes)
    keys = sorted(shapes, key=lambda item: item[0])
    for position, (frame, kind, values) in enumerate(keys):
        if not 0 <= frame < length:
            raise LabelError(f"{track.place}: frame {frame + start} is not among the {length} images from {start} on")
        following = keys[position + 1] if position + 1 < len(keys) else None
        if following is not None and following[0] == frame:
            raise LabelError(f"{track.place}: frame {frame + start} has two shapes of one object: remove one")
        if values.get("outside", "0") == "1":
            continue
        yield frame, kind, values
        end = length if following is None else following[0]
        for between in range(frame + 1, end):
            is_linear = kind == "box" and following is not None and following[1] == "box" and following[2].get("outside", "0") != "1"
            left_out[INTERPOLATED if kind == "box" else REPEATED] += 1
            share = (between - frame) / (end - frame)
            yield between, kind, _between(values, following[2], share, track.place) if is_linear and following else values


def _between(values: Attributes, following: Attributes, share: float, place: str) -> dict[str, str]:
    """Return a box between two others, as CVAT interpolates it."""
    corners = {}
    for name in ("xtl", "ytl", "xbr", "ybr"):
        begin, end = _float(values, name, place), _float(following, name, place)
        corners[name] = str(begin + share * (end - begin))
    return {**values, **corners}


def _object(track: _Track, kind: str, values: Attributes, size: tuple[int, int], place: str) -> LabeledObject | None:
    height, width = size
    if kind == "box":
        corners = [_float(values, name, place) for name in ("xtl", "ytl", "xbr", "ybr")]
        box = clip_box(corners, width, height)
        return None if box is None else object_of_box(track.id, track.label, box, size)
    mask = _polygon(values, size, place) if kind == "polygon" else _mask(values, size, place)
    return object_of_mask(track.id, track.label, mask)


def _polygon(values: Attributes, size: tuple[int, int], place: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    text = _text(values, "points", place)
    try:
        points = np.array([[float(number) for number in pair.split(",")] for pair in text.split(";")])
    except ValueError:
        points = np.empty(0)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not (np.abs(points) <= 4 * MAX_SIDE).all():
        raise LabelError(f'{place}: points is "{text[:60]}": write at least three as x,y;x,y;x,y')
    return fill(np.floor(points).astype(np.int32), *size)


def _mask(values: Attributes, size: tuple[int, int], place: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    left, top, width, height = (_whole(values, name, place) for name in ("left", "top", "width", "height"))
    try:
        runs = [int(part) for part in _text(values, "rle", place).split(",")]
    except ValueError:
        runs = [-1]
    if min(runs) < 0 or sum(runs) != width * height:
        raise LabelError(f"{place}: rle does not describe {width} x {height} pixels: export the labels again")
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise LabelError(f"{place}: the mask reaches beyond the image of {size[1]} x {size[0]} pixels: export the labels again")
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return mask
