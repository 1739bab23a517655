# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What all importers share: the labels of a video, the checks of their values, and the error for wrong files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pydantic import BaseModel, Field, ValidationError

from lang2segtrack_ros.io.exports.trace import DEFAULT_FPS, UNNAMED, LabeledFrame, LabeledObject
from lang2segtrack_ros.io.image_messages import MAX_PIXELS
from lang2segtrack_ros.types.prompts import MAX_TEXT_LENGTH
from lang2segtrack_ros.types.rle import Box, Rle, decode_counts, mask_box

MAX_SIDE = 32768
"""Largest width and height of an image, in pixels. Larger sizes are errors in the file in all likelihood."""
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
"""Confidence of a label."""
Model = TypeVar("Model", bound=BaseModel)


class LabelError(ValueError):
    """Error for labels that cannot be read. The message names file, place and reason, and says what to do."""


@dataclass
class LabeledVideo:
    """The labels of one video.

    Attributes:
        name: name of the video.
        frames: its images in order, also those without objects.
        fps: images per second.
        left_out: number of labels that were left out or changed, by a noun phrase in the plural. It grows while frames are read.
    """

    name: str
    frames: Iterable[LabeledFrame]
    fps: float = DEFAULT_FPS
    left_out: Counter[str] = field(default_factory=Counter)


def read_json(path: Path, model: type[Model]) -> Model:
    """Read a JSON file of a given structure. Raises LabelError, with the place of the first fault."""
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{path} is not valid JSON ({error}): is the file cut, or of another format?") from error
    except OSError as error:
        raise LabelError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LabelError(
            f"{path}: {_place(first['loc'])}: {first['msg'][0].lower()}{first['msg'][1:]}, not {_short(first['input'])}"
        ) from error


def _place(parts: Sequence[int | str]) -> str:
    """Return the place of a value, such as annotations[3].bbox."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.lstrip(".") or "the whole file"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def find_file(path: Path, patterns: Sequence[str]) -> Path:
    """Return the file itself, or the only file of a folder that matches one of the patterns. Raises LabelError."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise LabelError(f"there is no file or folder {path}")
    for pattern in patterns:
        found = sorted(path.glob(pattern))
        if len(found) > 1:
            raise LabelError(f"{path} has several files {pattern} ({', '.join(item.name for item in found[:3])}, ...): name one of them")
        if found:
            return found[0]
    raise LabelError(f"{path} has no file {' or '.join(patterns)}: name the file with the labels")


def check_size(width: int, height: int, place: str) -> None:
    """Raise LabelError for an impossible size of an image."""
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE) or width * height > MAX_PIXELS:
        raise LabelError(f"{place}: the image has {width} x {height} pixels: give its real width and height")


def check_id(value: int, place: str) -> int:
    """Return the id of an object. Raises LabelError if it is not above 0."""
    if not 0 < value < 2**32:
        raise LabelError(f"{place}: the id of an object is {value}: give each object a whole number above 0")
    return value


def check_label(text: str, place: str) -> str:
    """Return a label without white space around it; an empty one becomes "object". Raises LabelError if it is too long for a prompt."""
    if len(text) > MAX_TEXT_LENGTH:
        raise LabelError(f"{place}: the label has {len(text)} characters; the maximum is {MAX_TEXT_LENGTH}: give a shorter name")
    return text.strip() or UNNAMED


def clip_box(box: Sequence[float], width: int, height: int) -> Box | None:
    """Return a box (x_min, y_min, x_max, y_max), clipped to its image; None if nothing is left."""
    x1, y1, x2, y2 = box
    x1, y1, x2, y2 = max(0.0, x1), max(0.0, y1), min(float(width), x2), min(float(height), y2)
    return (x1, y1, x2, y2) if all(map(math.isfinite, (x1, y1, x2, y2))) and x1 < x2 and y1 < y2 else None


def object_of_mask(track_id: int, label: str, mask: NDArray[np.bool_], score: float = 1.0) -> LabeledObject | None:
    """Return an object with its box; None for an empty mask.

    Args:
        track_id: id of the object.
        label: its label.
        mask: bool [H, W].
        score: confidence, 0..1.
    """
    box = mask_box(np.ascontiguousarray(mask))
    return None if box is None else LabeledObject(track_id, label, score, box, Rle.encode(mask, box))


def object_of_box(track_id: int, label: str, box: Box, size: tuple[int, int], score: float = 1.0) -> LabeledObject:
    """Return an object with an empty mask.

    Args:
        track_id: id of the object.
        label: its label.
        box: its box.
        size: height and width of the image.
        score: confidence, 0..1.
    """
    return LabeledObject(track_id, label, score, box, Rle.encode(np.zeros(size, bool)))


def decode_segmentation(value: Any, height: int, width: int, place: str) -> NDArray[np.bool_]:
    """Return the mask of a segmentation of COCO: polygons, or a run-length encoding with or without compression.

    pycocotools does not check its input, and wrong runs would overwrite memory, so this function checks them.

    Args:
        value: the JSON value.
        height: of the image.
        width: of the image.
        place: for the message.

    Raises:
        LabelError: the value is none of these, or does not fit the image.
    """
    if isinstance(value, dict):
        return _decode_rle(value, height, width, place)
    polygons = value if isinstance(value, list) else []
    if not polygons or not all(isinstance(item, list) and len(item) >= 6 and len(item) % 2 == 0 for item in polygons):
        raise LabelError(f"{place} is {_short(value)}: give polygons [[x1, y1, x2, y2, x3, y3, ...]], or size and counts")
    flat = [number for polygon in polygons for number in polygon]
    if not all(isinstance(number, (int, float)) and abs(number) <= 4 * MAX_SIDE for number in flat):
        raise LabelError(f"{place} has a coordinate that is not a number of pixels: {_short(value)}")
    pixels = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))
    return np.asarray(pixels, bool)


def _decode_rle(value: Mapping[str, Any], height: int, width: int, place: str) -> NDArray[np.bool_]:
    counts = value.get("counts")
    if value.get("size") != [height, width]:
        raise LabelError(
            f"{place}.size is {_short(value.get('size'))}, but the image has [height, width] = [{height}, {width}]: give that size"
        )
    runs = counts if isinstance(counts, list) else _runs(counts) if isinstance(counts, str) else None
    if runs is None or not all(isinstance(run, int) and run >= 0 for run in runs) or sum(runs) != height * width:
        raise LabelError(f"{place}.counts does not describe {height} x {width} pixels: {_short(counts)}: export the labels again")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T


def _runs(text: str) -> list[int] | None:
    try:
        return decode_counts(text)
    except ValueError:
        return None


def unique_objects(objects: Iterable[LabeledObject], place: str) -> tuple[LabeledObject, ...]:
    """Return the objects of an image in the order of their ids. Raises LabelError if two have one id."""
    ordered = sorted(objects, key=lambda item: item.id)
    for item, other in pairwise(ordered):
        if item.id == other.id:
            raise LabelError(f"{place}: two objects have the id {item.id} on one image: give each object an id of its own")
    return tuple(ordered)


def numbered_frames(objects: Mapping[int, list[LabeledObject]], length: int, size: tuple[int, int], fps: float) -> Iterator[LabeledFrame]:
    """Yield the images of a video of one size.

    Args:
        objects: objects by image.
        length: number of images.
        size: height and width.
        fps: images per second, for the stamps.
    """
    for index in range(length):
        found = unique_objects(objects.get(index, ()), f"image {index}")
        yield LabeledFrame(index, index, round(index * 1e9 / fps), size[0], size[1], found)
