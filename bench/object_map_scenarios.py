# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Walks through the toy room, and the comparison of the object map with the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import MapError, MapObject, ObjectState, Sighting, View
from lang2segtrack_ros.toyworld.room import Block, Item, Room, Waypoint, default_items, furnished, optical_pose, tour
from lang2segtrack_ros.toyworld.room_scene import RoomFrame, RoomScene
from lang2segtrack_ros.toyworld.room_truth import true_sightings, true_view

SIZE = (320, 240)
MATCH_M = 0.25
LIMIT_M, LIMIT_RATIO = 0.03, 0.02
WHOLE = 0.98
"""The camera looks at a place if this fraction of an item there would be visible."""
Tracker = Callable[[RoomScene, RoomFrame, float], list[Sighting]]


@dataclass
class Score:
    """What a scenario has shown.

    Attributes:
        name: name of the scenario.
        expected, found, wrong: numbers of items that the map should have, has, and of objects that are not there.
        errors: distance of each object from its item, meters.
        over: number of objects whose error is above 3 cm + 2 % of the smallest distance from the camera.
        ids_changed: number of items whose id changed.
        missing_s: time of looking at the empty place until the item was missing, seconds.
        not_missed: number of items that were taken away, looked at for 3 s, and are not missing.
        false_missing: number of images on which an item that stands at its place was missing.
        note: further results.
    """

    name: str
    expected: int = 0
    found: int = 0
    wrong: int = 0
    errors: list[float] = field(default_factory=list)
    over: int = 0
    ids_changed: int = 0
    missing_s: list[float] = field(default_factory=list)
    not_missed: int = 0
    false_missing: int = 0
    note: str = ""

    def row(self) -> str:
        """Return the row of the table."""
        recall = self.found / max(1, self.expected)
        precision = self.found / max(1, self.found + self.wrong)
        errors = np.array(self.errors or [math.nan]) * 100
        missing = f"{max(self.missing_s):.1f}" if self.missing_s else "-"
        return (
            f"| {self.name} | {self.expected} | {precision:.2f} | {recall:.2f} | {np.median(errors):.1f} | {errors.max():.1f} "
            f"| {self.over} | {self.ids_changed} | {missing} | {self.not_missed} | {self.false_missing} | {self.note} |"
        )


HEADER = (
    "| scenario | items | precision | recall | median error, cm | largest, cm | over 3 cm + 2 % | ids changed | missing after, s "
    "| not found missing | falsely missing, images | note |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)


class Walk:
    """A walk that feeds a map and keeps the score.

    Args:
        name: name of the scenario.
        scene: the room.
        objects: the map.
        rate: images per second.
        tracker: returns the sightings on an image; a perfect tracker by default.
    """

    def __init__(self, name: str, scene: RoomScene, objects: ObjectMap, rate: float = 5.0, tracker: Tracker | None = None) -> None:
        self.score = Score(name)
        self.scene = scene
        self.objects = objects
        self._rate = rate
        self._tracker = tracker or (lambda scene, frame, seconds: true_sightings(scene, frame))
        self._ids: dict[int, int] = {}
        self._watched_s: dict[int, float] = {}
        self._missed: set[int] = set()
        self._nearest: dict[int, float] = {}

    def run(self, since: float, until: float) -> None:
        """Walk from one time to another one, in seconds."""
        for step in range(round(since * self._rate), round(until * self._rate)):
            seconds = step / self._rate
            frame = self.scene.render_from(self.scene.room.camera_pose(seconds), seconds)
            self.objects.observe(self.view(frame), self._tracker(self.scene, frame, seconds))
            self._check(frame, seconds)

    def view(self, frame: RoomFrame) -> View:
        """Return the view of a frame."""
        return true_view(self.scene, frame)

    def _check(self, frame: RoomFrame, seconds: float) -> None:
        for number, item in enumerate(self.scene.bodies, start=1):
            place = item.place_at(seconds)
            if place is not None:
                self._check_present(number, item, place, frame)
            else:
                self._check_taken(number, item, frame, seconds)

    def _check_present(self, number: int, item: Item, place: Sequence[float], frame: RoomFrame) -> None:
        truth = frame.bodies[number]
        if truth.visible:
            distance = float(np.linalg.norm(truth.center))
            self._nearest[number] = min(distance, self._nearest.get(number, math.inf))
        found = self._object_at(item, place)
        if found is not None:
            if found.state is ObjectState.MISSING:
                self.score.false_missing += 1
            self._ids.setdefault(number, found.id)

    def _check_taken(self, number: int, item: Item, frame: RoomFrame, seconds: float) -> None:
        """Measure how long the camera looks at the empty place until the map misses the item."""
        last = next(place for start, place in reversed(item.places) if place is not None and start < seconds)
        if number not in self._ids or number in self._missed:
            return
        try:
            known = self.objects.resolve(self._ids[number])
        except MapError:
            return
        if known.state is ObjectState.MISSING:
            self._missed.add(number)
            self.score.missing_s.append(self._watched_s.get(number, 0.0))
        elif _is_wholly_in_view(self.scene, item, last, frame, self.objects.options.max_range):
            self._watched_s[number] = self._watched_s.get(number, 0.0) + 1 / self._rate

    def _object_at(self, item: Item, place: Sequence[float]) -> MapObject | None:
        near = [found for found in self.objects.table.with_label(item.label) if np.linalg.norm(found.position - place) < MATCH_M]
        return min(near, key=lambda found: float(np.linalg.norm(found.position - place)), default=None)

    def finish(self, seconds: float, seen_only: bool = True) -> Score:
        """Compare the map with the truth at a time.

        Args:
            seconds: the time.
            seen_only: True to expect only items that were visible.
        """
        score, used = self.score, set()
        for number, item in enumerate(self.scene.bodies, start=1):
            place = item.place_at(seconds)
            if place is None:
                score.not_missed += number in self._ids and number not in self._missed and self._watched_s.get(number, 0.0) >= 3.0
                continue
            if seen_only and number not in self._nearest:
                continue
            score.expected += 1
            found = self._object_at(item, place)
            if found is None or found.state is ObjectState.MISSING:
                continue
            used.add(found.id)
            score.found += 1
            error = float(np.linalg.norm(found.position - place))
            score.errors.append(error)
            score.over += error > LIMIT_M + LIMIT_RATIO * self._nearest[number]
            score.ids_changed += self._ids.get(number, found.id) != found.id
        score.wrong = sum(item.id not in used and item.state is not ObjectState.MISSING for item in self.objects.table)
        return score


def _is_wholly_in_view(scene: RoomScene, item: Item, place: Sequence[float], frame: RoomFrame, max_range: float) -> bool:
    """Return True if an item at a place would be wholly visible on a frame."""
    if np.linalg.norm(np.asarray(place) - frame.pose.translation) > max_range:
        return False
    room = scene.room
    ghost = Item(item.color, item.shape, item.radius_m, ((0.0, (place[0], place[1], place[2])),))
    others = tuple(other for other in room.items if other is not item)
    alone = RoomScene(Room((ghost, *others), room.blocks, room.path, room.size), *SIZE)
    return alone.render_from(frame.pose, frame.seconds).bodies[1].fraction >= WHOLE


def still_tour(laps: int, lap_s: float = 60.0) -> list[Waypoint]:
    """Return several laps of the tour."""
    return [point for lap in range(laps) for point in tour(lap * lap_s, lap_s)[: None if lap == laps - 1 else -1]]


def changed(items: list[Item], changes: dict[int, tuple[float, tuple[float, float] | None]]) -> list[Item]:
    """Return items of which some stand elsewhere, or nowhere, from a time in seconds on."""
    result = list(items)
    for index, (seconds, place) in changes.items():
        item = items[index]
        later = None if place is None else (*place, 1.1 * item.radius_m)
        result[index] = replace(item, places=(*item.places, (seconds, later)))
    return result


def unseen_time(index: int, after: float, until: float) -> float:
    """Return a time at which nobody sees an item of the default room, in the middle of a long absence from the image."""
    scene = RoomScene(furnished(default_items(), still_tour(2)), 80, 60)
    times = np.arange(after, until, 1.0)
    hidden = [not scene.render_from(scene.room.camera_pose(t), t).bodies[index + 1].visible for t in times]
    best, start = (0, after), None
    for time, is_hidden in zip([*times, until], [*hidden, False]):
        if is_hidden and start is None:
            start = time
        elif not is_hidden and start is not None:
            best, start = max(best, (time - start, (time + start) / 2)), None
    return float(best[1])


def tours() -> Iterator[Score]:
    """Yield the scenarios of a perfect tracker on the tour."""
    yield _scenario("tour, two laps", default_items(), 120.0)
    taken = {index: (unseen_time(index, 50.0, 110.0), None) for index in (1, 3, 4, 6)}
    yield _scenario("four taken away unseen", changed(default_items(), dict(taken)), 240.0)
    moved = {9: (1.5, 1.5), 11: (6.6, 3.1), 0: (1.6, 3.9), 3: (3.4, 4.9)}
    plan = {index: (unseen_time(index, 50.0, 110.0), place) for index, place in moved.items()}
    yield _scenario("four moved unseen", changed(default_items(), dict(plan)), 240.0)
    people = [Block((6.0, 4.2, 0.0), (6.5, 4.5, 1.8), 60.0, 180.0), Block((1.3, 4.1, 0.0), (1.6, 4.6, 1.8), 60.0, 180.0)]
    people += [Block((0.95, 1.2, 0.0), (1.25, 1.7, 1.8), 60.0, 180.0)]
    yield _scenario("three people stand in front", default_items(), 180.0, people)


def _scenario(name: str, items: list[Item], seconds: float, blocks: Sequence[Block] = ()) -> Score:
    scene = RoomScene(furnished(items, still_tour(4), blocks), *SIZE)
    walk = Walk(name, scene, ObjectMap(), tracker=lambda scene, frame, at: true_sightings(scene, frame, "", 100 * int(at // 60)))
    walk.run(0.0, seconds)
    return walk.finish(seconds)


def two_cameras() -> Score:
    """Two cameras see the room from opposite sides; each has a tracker with ids of its own."""
    scene = RoomScene(furnished(default_items(), still_tour(1)), *SIZE)
    walk = Walk("two cameras", scene, ObjectMap())
    for step in range(300):
        walk.run(step / 5, (step + 1) / 5)
        seconds = (step / 5 + 30.0) % 60.0
        frame = replace(scene.render_from(scene.room.camera_pose(seconds), seconds), seconds=step / 5 + 0.05)
        walk.objects.observe(true_view(scene, frame, "rear"), true_sightings(scene, frame, "rear", 500))
    return walk.finish(60.0)


def loop_closure() -> Score:
    """Odometry drifts by 0.6 m and 3 degrees in a lap, then SLAM corrects it at once; objects are anchored in odom."""
    scene = RoomScene(furnished(default_items(), still_tour(2)), *SIZE)
    objects = ObjectMap(is_anchored=True)
    turn = optical_pose((0.0, 0.0, 0.0), 0.05, 0.0).rotation @ optical_pose((0.0, 0.0, 0.0), 0.0, 0.0).rotation.T
    drift = RigidTransform(turn, np.array([0.5, -0.3, 0.0]))  # from the true map to odom, as SLAM finds it at the end

    walk = Walk("loop closure of 0.6 m", scene, objects)

    def drifted(frame: RoomFrame) -> View:
        view = true_view(scene, frame)
        return replace(view, pose=drift.after(view.pose)) if frame.seconds < 60.0 else view

    walk.view = drifted  # type: ignore[method-assign]
    walk.run(0.0, 60.0)
    moved = objects.apply_correction(drift.inverse())
    ids = {item.id for item in objects.table}
    walk.run(60.0, 120.0)
    score = walk.finish(120.0)
    score.note = f"{moved} objects moved with it, {len({item.id for item in objects.table} - ids)} new ids after it"
    return score
