# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The objects that a detector found on one image, with all that the relations need: place, size, color and distance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.instructions.plan import GENERIC
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.rle import Box

SAME_OBJECT_IOU = 0.7
"""IoU above which two detections of different phrases are one object with two names."""
_CORE = 0.5
"""Part of a box, along each side, that stands for the object if there is no mask."""
_MIN_DEPTH_RATIO = 0.1
"""Minimum fraction of an object's pixels with depth."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One detected object.

    Attributes:
        number: number in the scene, from 1.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
        names: score of each phrase that names the object, 0..1, best first.
        mask: bool [H, W]. None if there is only a box.
        lab: median color in CIE Lab, L 0..100. The median leaves out the background at the rim. None for an empty mask.
        depth: median distance along the optical axis in meters. None without depth.
        point: center in the camera's optical frame in meters. None without depth or camera.
    """

    number: int
    box: Box
    names: Mapping[str, float]
    mask: NDArray[np.bool_] | None = None
    lab: tuple[float, float, float] | None = None
    depth: float | None = None
    point: tuple[float, float, float] | None = None

    @property
    def label(self) -> str:
        """Return the phrase with the highest score."""
        return next(iter(self.names))

    @property
    def score(self) -> float:
        """Return the highest score of a phrase."""
        return next(iter(self.names.values()))

    @property
    def size(self) -> tuple[float, float]:
        """Return width and height of the box in pixels."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    @cached_property
    def center(self) -> tuple[float, float]:
        """Return the centroid of the mask, or the center of the box, in pixels."""
        if self.mask is None:
            return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5

    @cached_property
    def area(self) -> float:
        """Return the area of the mask, or of the box, in pixels."""
        width, height = self.size
        return width * height if self.mask is None else float(np.count_nonzero(self.mask))

    @cached_property
    def hull(self) -> NDArray[np.float32]:
        """Return the corners of the convex hull of the mask, or of the box: float32 [N, 1, 2], x and y in pixels."""
        if self.mask is None:
            x1, y1, x2, y2 = self.box
            return np.array([[[x1, y1]], [[x2, y1]], [[x2, y2]], [[x1, y2]]], np.float32)
        points = np.column_stack(np.nonzero(self.mask)[::-1]).astype(np.float32)
        return np.asarray(cv2.convexHull(points), np.float32)

    def __str__(self) -> str:
        return f'#{self.number} "{self.label}"'


@dataclass(frozen=True, eq=False)
class Scene:
    """The objects of one image.

    Attributes:
        objects: the objects, best score first.
    """

    objects: tuple[SceneObject, ...] = field(default=())

    def named(self, noun: str) -> list[SceneObject]:
        """Return the objects that a noun names, best score for it first. `GENERIC` names all."""
        if noun == GENERIC:
            return list(self.objects)
        return sorted((item for item in self.objects if noun in item.names), key=lambda item: -item.names[noun])


def make_scene(
    detections: Iterable[Detection], color: NDArray[np.uint8], depth: NDArray[np.float32] | None = None, camera: CameraModel | None = None
) -> Scene:
    """Return the scene of all detections on an image. Detections of one object under several phrases become one object.

    Args:
        detections: detections of all phrases.
        color: RGB uint8 [H, W, 3].
        depth: float32 [H, W] in meters, NaN or 0 where unknown. None without depth.
        camera: camera model of the image. None without calibration; then distances between objects are in pixels.
    """
    groups: list[list[Detection]] = []
    for item in sorted(detections, key=lambda item: -item.score):
        same = max(groups, key=lambda group: box_iou(group[0].box, item.box), default=None)
        if same is not None and box_iou(same[0].box, item.box) >= SAME_OBJECT_IOU and item.label not in [other.label for other in same]:
            same.append(item)
        else:
            groups.append([item])
    lab = np.asarray(cv2.cvtColor(color.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32)
    return Scene(tuple(_scene_object(number, group, lab, depth, camera) for number, group in enumerate(groups, 1)))


def box_iou(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the intersection over union of two boxes."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / ((box[2] - box[0]) * (box[3] - box[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared)


def _scene_object(
    number: int, group: list[Detection], lab: NDArray[np.float32], depth: NDArray[np.float32] | None, camera: CameraModel | None
) -> SceneObject:
    best = group[0]
    mask = next((item.mask for item in group if item.mask is not None), None)
    window = _window(best.box, lab.shape[:2], 1.0 if mask is not None else _CORE)
    inside = np.ones(lab[window].shape[:2], bool) if mask is None else mask[window]
    pixels = lab[window][inside]
    median = tuple(float(value) for value in np.median(pixels, axis=0)) if len(pixels) else None
    meters = _median_depth(depth, window, inside)
    point = None
    if meters is not None and camera is not None:
        x, y = (best.box[0] + best.box[2]) / 2, (best.box[1] + best.box[3]) / 2
        point = ((x - camera.cx) * meters / camera.fx, (y - camera.cy) * meters / camera.fy, meters)
    names = {item.label: item.score for item in group}
    return SceneObject(number, best.box, names, mask, median, meters, point)  # type: ignore[arg-type]  # three channels


def _window(box: Box, size: tuple[int, ...], part: float) -> tuple[slice, slice]:
    """Return the rows and columns of the middle part of a box inside an image, at least one pixel."""
    x1, y1, x2, y2 = box
    margin_x, margin_y = (x2 - x1) * (1 - part) / 2, (y2 - y1) * (1 - part) / 2
    left, top = (min(max(int(value), 0), limit - 1) for value, limit in ((x1 + margin_x, size[1]), (y1 + margin_y, size[0])))
    return slice(top, max(math.ceil(min(y2 - margin_y, size[0])), top + 1)), slice(
        left, max(math.ceil(min(x2 - margin_x, size[1])), left + 1)
    )


def _median_depth(depth: NDArray[np.float32] | None, window: tuple[slice, slice], inside: NDArray[np.bool_]) -> float | None:
    if depth is None:
        return None
    values = depth[window][inside]
    known = values[np.isfinite(values) & (values > 0)]
    return float(np.median(known)) if len(known) > _MIN_DEPTH_RATIO * len(values) else None
