# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A room in three dimensions: shapes at known places, pillars and a table, and a camera that moves along a path. Truth for object maps.

The fixed frame has x and y along the floor and z up, in meters. Its origin is a corner of the floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.toyworld.shapes import outline

Vector = tuple[float, float, float]
MAP_FRAME, ODOM_FRAME = "map", "odom"
CAMERA_HEIGHT_M = 1.1
CAMERA_PITCH = -0.12  # radians; below zero looks down


@dataclass(frozen=True)
class Item:
    """A flat shape that stands upright and turns to the camera, so the detector knows it from everywhere.

    Attributes:
        color, shape: names; together they form the label.
        radius_m: half the size in meters.
        places: start in seconds and center of the area in the fixed frame, in the order of time. None while the item is away.
    """

    color: str
    shape: str
    radius_m: float
    places: tuple[tuple[float, Vector | None], ...]

    @property
    def label(self) -> str:
        """Label such as "red circle"."""
        return f"{self.color} {self.shape}"

    def place_at(self, seconds: float) -> Vector | None:
        """Return the center at a time, or None if the item is not in the room then."""
        place = None
        for start, center in self.places:
            if seconds >= start:
                place = center
        return place

    def corners(self) -> NDArray[np.float64]:
        """Return the outline [K, 2] in meters around the center of its area, x right and y down."""
        corners = outline(self.shape)
        moments = cv2.moments(corners.astype(np.float32))
        center = np.array([moments["m10"], moments["m01"]]) / moments["m00"]
        centered: NDArray[np.float64] = (corners - center) * self.radius_m
        return centered


@dataclass(frozen=True)
class Block:
    """A gray box with sides along the axes: a pillar, a table or a person.

    Attributes:
        low, high: two opposite corners in the fixed frame, meters.
        since, until: time in seconds during which it is in the room.
        gray: brightness, on a scale of 255.
    """

    low: Vector
    high: Vector
    since: float = 0.0
    until: float = math.inf
    gray: float = 120.0

    def is_there(self, seconds: float) -> bool:
        """Return True if the block is in the room at a time."""
        return self.since <= seconds < self.until


@dataclass(frozen=True)
class Waypoint:
    """Pose of the camera at a time.

    Attributes:
        seconds: the time.
        x, y: position in the fixed frame, meters.
        yaw: heading in radians from the x axis to the y axis.
        pitch: radians; below zero looks down.
        height: height of the camera in meters.
    """

    seconds: float
    x: float
    y: float
    yaw: float
    pitch: float = CAMERA_PITCH
    height: float = CAMERA_HEIGHT_M


@dataclass(frozen=True)
class Room:
    """A room with its contents and the path of the camera.

    Attributes:
        items: labeled shapes.
        blocks: boxes that occlude.
        path: waypoints in the order of time; the camera moves evenly between them, and starts anew after the last one.
        size: length, width and height in meters.
    """

    items: tuple[Item, ...]
    blocks: tuple[Block, ...]
    path: tuple[Waypoint, ...]
    size: Vector = (8.0, 6.0, 2.6)
    _times: NDArray[np.float64] = field(init=False, repr=False, compare=False)
    _poses: NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_times", np.array([point.seconds for point in self.path]))
        poses = np.array([[point.x, point.y, point.height, point.yaw, point.pitch] for point in self.path])
        poses[:, 3] = np.unwrap(poses[:, 3])
        object.__setattr__(self, "_poses", poses)

    @property
    def duration(self) -> float:
        """Time of the last waypoint in seconds."""
        return float(self._times[-1])

    def camera_pose(self, seconds: float) -> RigidTransform:
        """Return the transform from the optical frame of the camera to the fixed frame."""
        if seconds > self.duration:
            seconds %= max(self.duration, 1e-9)
        x, y, height, yaw, pitch = (float(np.interp(seconds, self._times, self._poses[:, axis])) for axis in range(5))
        return optical_pose((x, y, height), yaw, pitch)


def optical_pose(position: Vector, yaw: float, pitch: float) -> RigidTransform:
    """Return the transform from an optical frame (x right, y down, z forward) to the fixed frame.

    Args:
        position: center of the camera, meters.
        yaw: heading in radians from the x axis to the y axis.
        pitch: radians; below zero looks down.
    """
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    return RigidTransform(np.column_stack([right, np.cross(forward, right), forward]), np.array(position, dtype=np.float64))


def standing(color: str, shape: str, radius: float, x: float, y: float, base: float = 0.0) -> Item:
    """Return an item that stands on the floor, or on a surface of height `base`, all the time. Lengths are in meters."""
    return Item(color, shape, radius, ((0.0, (x, y, base + 1.1 * radius)),))


TABLE = Block((5.6, 0.9, 0.0), (7.2, 1.8, 0.72), gray=95.0)
PILLARS = (Block((2.9, 2.2, 0.0), (3.2, 2.5, 2.6), gray=150.0), Block((5.2, 3.7, 0.0), (5.5, 4.0, 2.6), gray=150.0))


def furnished(items: Sequence[Item], path: Sequence[Waypoint], blocks: Sequence[Block] = ()) -> Room:
    """Return a room with a table, two pillars and further blocks."""
    return Room(tuple(items), (TABLE, *PILLARS, *blocks), tuple(path))


def tour(start: float = 0.0, lap_s: float = 60.0) -> list[Waypoint]:
    """Return a walk around the middle of the room that looks at everything in it.

    The camera walks along an ellipse, looks outward, and then turns once in the middle.

    Args:
        start: time of the first waypoint, seconds.
        lap_s: duration of the walk, seconds.
    """
    points = []
    for step in range(25):
        angle = 2 * math.pi * step / 24
        x, y = 4.0 + 1.6 * math.cos(angle), 3.0 + 0.9 * math.sin(angle)
        points.append(Waypoint(start + lap_s * step / 24, x, y, angle + math.pi + 0.5 * math.sin(3 * angle)))
    return points


def default_items() -> list[Item]:
    """Return twelve items on the floor and on the table; two of them look alike."""
    top = TABLE.high[2]
    return [
        standing("red", "circle", 0.15, 0.8, 1.2),
        standing("blue", "star", 0.17, 1.0, 4.6),
        standing("yellow", "square", 0.14, 2.6, 5.4),
        standing("purple", "cross", 0.16, 4.4, 5.3),
        standing("green", "triangle", 0.17, 6.3, 5.2),
        standing("orange", "heart", 0.15, 7.3, 3.6),
        standing("cyan", "circle", 0.13, 6.0, 1.3, top),
        standing("pink", "star", 0.15, 6.8, 1.4, top),
        standing("red", "circle", 0.15, 3.9, 0.7),
        standing("blue", "square", 0.14, 2.0, 0.8),
        standing("green", "heart", 0.15, 0.7, 2.9),
        standing("yellow", "cross", 0.16, 7.3, 2.6),
    ]


def default_room() -> Room:
    """Return the room that the toy camera shows: a lap of 60 s, and an item that is moved and one that is taken away after each."""
    items = default_items()
    taken, moved = items[4], items[9]
    items[4] = Item(taken.color, taken.shape, taken.radius_m, (*taken.places, (75.0, None)))
    items[9] = Item(moved.color, moved.shape, moved.radius_m, (*moved.places, (75.0, (1.6, 1.6, 1.1 * moved.radius_m))))
    return furnished(items, tour())
