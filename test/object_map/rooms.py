# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Walks through rooms with a perfect tracker, for tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapObject
from lang2segtrack_ros.toyworld.room import Block, Item, Room, Waypoint, standing
from lang2segtrack_ros.toyworld.room_scene import RoomScene
from lang2segtrack_ros.toyworld.room_truth import true_sightings, true_view

RATE = 5.0
START_NS = 1_000_000_000_000
BACK, LEFT = 3.14159, 1.5708
"""Headings of a camera in the middle of the room: along the x axis is 0."""


def still(seconds: float, yaw: float = 0.0) -> list[Waypoint]:
    """Return a path that stands in the middle of the room from 0 to some seconds."""
    return [Waypoint(0.0, 3.5, 3.0, yaw), Waypoint(seconds, 3.5, 3.0, yaw)]


def circle(x: float = 6.0, y: float = 3.0, color: str = "red") -> Item:
    """Return a circle that stands on the floor all the time."""
    return standing(color, "circle", 0.15, x, y)


def with_places(item: Item, *places: tuple[float, tuple[float, float] | None]) -> Item:
    """Return an item that stands at other (x, y) from some times in seconds on; None takes it away."""
    height = 1.1 * item.radius_m
    later = tuple((seconds, None if place is None else (*place, height)) for seconds, place in places)
    return Item(item.color, item.shape, item.radius_m, (*item.places, *later))


def scene_of(items: Sequence[Item], path: Sequence[Waypoint], blocks: Sequence[Block] = ()) -> RoomScene:
    """Return a small picture of a room without furniture."""
    return RoomScene(Room(tuple(items), tuple(blocks), tuple(path)), 320, 240)


def walk(
    objects: ObjectMap,
    scene: RoomScene,
    since: float,
    until: float,
    first_track: Callable[[float], int] = lambda _: 0,
    source: str = "",
) -> None:
    """Let a perfect tracker walk through a room and give its sightings to a map.

    Args:
        objects: the map.
        scene: the room.
        since: start of the walk in seconds.
        until: end of the walk in seconds, exclusive.
        first_track: returns the offset of the track ids at a time.
        source: name of the tracker.
    """
    for step in range(round(since * RATE), round(until * RATE)):
        seconds = step / RATE
        frame = scene.render_from(scene.room.camera_pose(seconds), seconds)
        sightings = true_sightings(scene, frame, source, first_track(seconds))
        objects.observe(true_view(scene, frame, source, START_NS), sightings)


def only(objects: ObjectMap) -> MapObject:
    """Return the only object of a map."""
    (item,) = objects.table
    return item
