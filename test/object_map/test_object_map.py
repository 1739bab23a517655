# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The object map on walks through rooms with known truth. The tracker is perfect, except where a test says so."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.object_map import ObjectMap
from lang2segtrack_ros.object_map.objects import NS, MapError, ObjectState, Sighting, TrackReference
from lang2segtrack_ros.object_map.options import MapOptions
from lang2segtrack_ros.toyworld.room import Block, Waypoint, default_items, furnished, tour
from lang2segtrack_ros.toyworld.room_scene import RoomScene
from lang2segtrack_ros.toyworld.room_truth import true_sightings, true_view
from test.object_map.rooms import BACK, START_NS, circle, only, scene_of, still, walk, with_places


def test_a_tour_remembers_each_item_once() -> None:
    """Pillars hide parts of items, borders cut them, and two look alike: each must still be one object, within 3 cm + 2 %."""
    objects = ObjectMap()
    scene = RoomScene(furnished(default_items(), tour()), 320, 240)
    walk(objects, scene, 0.0, 60.0)
    assert len(objects.table) == len(scene.bodies)
    for item in scene.bodies:
        place = np.array(item.place_at(0.0))
        near = min(objects.table, key=lambda found: float(np.linalg.norm(found.position - place)))
        assert near.label == item.label
        assert np.linalg.norm(near.position - place) < 0.03
        assert near.state in (ObjectState.VISIBLE, ObjectState.REMEMBERED)


def test_an_item_that_is_taken_away_is_missing_since_the_first_free_image() -> None:
    """The map must learn it from depth alone: a tracker says nothing about an item that is not there."""
    objects = ObjectMap()
    walk(objects, scene_of([with_places(circle(), (3.0, None))], still(9)), 0.0, 6.0)
    assert only(objects).state is ObjectState.MISSING
    assert only(objects).state_since_ns == pytest.approx(START_NS + 3 * NS, abs=0.3 * NS)


def test_an_occluded_item_is_not_missing() -> None:
    """Somebody stands in front of the item for half a minute."""
    person = Block((4.5, 2.6, 0.0), (4.8, 3.4, 1.8), since=3.0, until=33.0)
    objects = ObjectMap()
    scene = scene_of([circle()], still(40), [person])
    walk(objects, scene, 0.0, 32.0)
    assert only(objects).state is ObjectState.REMEMBERED
    assert objects.counters["places_occluded"] > 100
    assert objects.counters["places_free"] == 0
    walk(objects, scene, 33.0, 35.0)
    assert only(objects).state is ObjectState.VISIBLE


def test_an_item_that_the_tracker_does_not_show_is_not_missing() -> None:
    """A prompt was removed: the item stands at its place, and depth shows its surface."""
    objects = ObjectMap()
    scene = scene_of([circle()], still(9))
    walk(objects, scene, 0.0, 3.0)
    for step in range(15, 40):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        objects.observe(true_view(scene, frame, start_ns=START_NS), [])
    assert only(objects).state is ObjectState.REMEMBERED
    assert objects.counters["places_taken"] >= 20


def test_a_robot_that_looks_away_does_not_miss_anything() -> None:
    """An item outside the image, and behind the camera, gives no evidence."""
    objects = ObjectMap()
    path = [Waypoint(0, 3.5, 3, 0.0), Waypoint(3, 3.5, 3, 0.0), Waypoint(5, 3.5, 3, BACK), Waypoint(20, 3.5, 3, BACK)]
    walk(objects, scene_of([circle()], path), 0.0, 20.0)
    assert only(objects).state is ObjectState.REMEMBERED


def test_an_item_that_comes_back_is_found_again_under_its_id() -> None:
    """It was missing for a while, and stands at its old place again."""
    objects = ObjectMap()
    item = with_places(circle(), (3.0, None), (7.0, (6.0, 3.0)))
    scene = scene_of([item], still(20))
    walk(objects, scene, 0.0, 6.0)
    number = only(objects).id
    walk(objects, scene, 6.0, 9.0)
    assert (only(objects).id, only(objects).state) == (number, ObjectState.VISIBLE)


def test_an_item_that_is_carried_in_view_keeps_its_id() -> None:
    """It moves by half a meter in a second: no second object may stay behind."""
    places = [(3.0 + 0.2 * step, (6.0, 3.0 + 0.1 * step)) for step in range(1, 8)]
    objects = ObjectMap()
    walk(objects, scene_of([with_places(circle(), *places)], still(12)), 0.0, 8.0)
    assert only(objects).id == 1
    assert only(objects).position[1] == pytest.approx(3.7, abs=0.05)


def test_an_item_that_was_moved_unseen_keeps_its_id_when_its_old_place_is_seen_first() -> None:
    """The old place is free, so the item is missing. The item at the new place is this one."""
    objects = ObjectMap()
    path = [Waypoint(0, 3.5, 3, BACK), Waypoint(3, 3.5, 3, BACK), Waypoint(5, 3.5, 3, 0.0), Waypoint(8, 3.5, 3, 0.0)]
    path += [Waypoint(10, 3.5, 3, BACK), Waypoint(13, 3.5, 3, BACK), Waypoint(15, 3.5, 3, 0.0), Waypoint(20, 3.5, 3, 0.0)]
    scene = scene_of([with_places(circle(1.0), (6.0, (6.0, 3.2)))], path)
    walk(objects, scene, 0.0, 5.9)
    walk(objects, scene, 9.0, 14.0)
    assert only(objects).state is ObjectState.MISSING
    walk(objects, scene, 14.0, 18.0)
    assert (only(objects).id, only(objects).state) == (1, ObjectState.MOVED)
    assert only(objects).position[0] == pytest.approx(6.0, abs=0.05)
    assert only(objects).moved_at_ns > START_NS + 14 * NS


def test_an_item_that_was_moved_unseen_keeps_its_id_when_its_new_place_is_seen_first() -> None:
    """Until the old place is seen, there are two objects. Then the newer one is the older one, and its id still works."""
    objects = ObjectMap()
    path = [Waypoint(0, 3.5, 3, 0.0), Waypoint(3, 3.5, 3, 0.0), Waypoint(5, 3.5, 3, BACK), Waypoint(8, 3.5, 3, BACK)]
    path += [Waypoint(10, 3.5, 3, 0.0), Waypoint(20, 3.5, 3, 0.0)]
    scene = scene_of([with_places(circle(), (4.9, (1.0, 3.0)))], path)
    walk(objects, scene, 0.0, 4.0)
    walk(objects, scene, 5.0, 8.0)
    assert {item.id: item.state for item in objects.table} == {1: ObjectState.REMEMBERED, 2: ObjectState.VISIBLE}
    walk(objects, scene, 8.0, 14.0)
    assert (only(objects).id, only(objects).state) == (1, ObjectState.MOVED)
    assert objects.resolve(2) is only(objects)
    assert objects.take_changes().merged == {2: 1}


def test_twins_keep_their_ids_when_the_tracker_exchanges_its_own() -> None:
    """A track id is a hint only: place decides."""
    objects = ObjectMap()
    scene = scene_of([circle(6.0, 2.6), circle(6.0, 3.4)], still(9))
    walk(objects, scene, 0.0, 3.0)
    before = {item.id: item.position[1] for item in objects.table}
    for step in range(15, 30):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        sightings = [replace(item, track=TrackReference("", 3 - item.track.track_id)) for item in true_sightings(scene, frame)]
        objects.observe(true_view(scene, frame, start_ns=START_NS), sightings)
    assert {item.id: item.position[1] for item in objects.table} == pytest.approx(before, abs=0.02)


def test_a_twin_with_the_track_of_an_item_out_of_view_is_another_object() -> None:
    """A tracker re-identified the twin as the item that left the image. The place of the item was not seen free."""
    path = [Waypoint(0, 3.5, 3, 0.0), Waypoint(3, 3.5, 3, 0.0), Waypoint(4, 3.5, 3, BACK), Waypoint(9, 3.5, 3, BACK)]
    objects = ObjectMap()
    scene = scene_of([circle(6.0), circle(1.0)], path)
    for step in range(45):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        sightings = [replace(item, track=TrackReference("", 1)) for item in true_sightings(scene, frame)]
        objects.observe(true_view(scene, frame, start_ns=START_NS), sightings)
    assert sorted(round(item.position[0]) for item in objects.table) == [1, 6]


def test_a_new_tracker_an_hour_later_finds_the_same_objects() -> None:
    """Other track ids, and a fixed frame that is 15 cm off: the map ids stay."""
    objects = ObjectMap()
    scene = scene_of([circle(6.0, 2.0), circle(6.0, 4.0, "blue")], still(7200))
    walk(objects, scene, 0.0, 3.0)
    ids = {item.label: item.id for item in objects.table}
    for step in range(18000, 18020):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        pose = RigidTransform(frame.pose.rotation, frame.pose.translation + np.array([0.0, 0.15, 0.0]))
        view = replace(true_view(scene, frame, start_ns=START_NS), pose=pose)
        objects.observe(view, true_sightings(scene, frame, first_track=70))
    assert {item.label: item.id for item in objects.table} == ids
    assert all(item.state is ObjectState.VISIBLE for item in objects.table)


def test_two_cameras_make_one_object() -> None:
    """Both see the item from other sides, each with track ids of its own."""
    objects = ObjectMap()
    first = scene_of([circle()], still(9))
    second = scene_of([circle()], [Waypoint(0, 6.2, 0.3, math.pi / 2), Waypoint(9, 6.2, 0.3, math.pi / 2)])
    for step in range(15):
        walk(objects, first, step / 5, (step + 1) / 5, source="front")
        walk(objects, second, step / 5, (step + 1) / 5, lambda _: 40, source="side")
    assert {(track.source, track.track_id) for track in only(objects).tracks} == {("front", 1), ("side", 41)}
    assert only(objects).position == pytest.approx([6.0, 3.0, 0.165], abs=0.03)


def test_a_loop_closure_moves_what_was_stored_in_this_run() -> None:
    """Objects of an earlier run are stored in the fixed frame, and stay. Candidates move, too."""
    correction = RigidTransform.from_quaternion((0, 0, math.sin(0.1), math.cos(0.1)), (0.5, -0.2, 0.0))
    objects = ObjectMap(is_anchored=True)
    walk(objects, scene_of([circle()], still(9)), 0.0, 3.0)
    before = only(objects).position.copy()
    assert objects.apply_correction(correction) == 1
    assert only(objects).position == pytest.approx(correction.rotation @ before + correction.translation)
    assert only(objects).id in objects.take_changes().updated
    restored = ObjectMap(objects=[only(objects)], is_anchored=True)
    assert restored.apply_correction(correction) == 0


def test_a_false_detection_becomes_no_object() -> None:
    """It appears on two images. Three are needed."""
    objects = ObjectMap()
    scene = scene_of([], still(9))
    frame = scene.render(0)
    for step in range(2):
        ghost = Sighting(TrackReference("", 1), "red circle", np.array([0.1, 0.2, 1.5]), (0.2, 0.2, 0.0))
        objects.observe(replace(true_view(scene, frame), stamp_ns=START_NS + step * NS // 5), [ghost])
    objects.observe(replace(true_view(scene, frame), stamp_ns=START_NS + 5 * NS), [])
    assert len(objects.table) == 0
    assert objects.counters["dropped_candidates"] == 1


@pytest.mark.parametrize(
    ("position", "size", "reason"),
    [
        ((math.nan, 0.0, 1.0), (0.1, 0.1, 0.1), "skipped_not_finite"),
        ((0.0, 0.0, 1.0), (0.1, math.inf, 0.1), "skipped_not_finite"),
        ((0.0, 0.0, 1.0), (-0.1, 0.1, 0.1), "skipped_not_finite"),
        ((0.0, 0.0, 60.0), (0.1, 0.1, 0.1), "skipped_too_far"),
    ],
)
def test_wrong_sightings_are_skipped_with_a_reason(position: tuple[float, ...], size: tuple[float, float, float], reason: str) -> None:
    """One wrong sighting must not spoil the others of its image."""
    objects = ObjectMap(MapOptions(min_sightings=1))
    scene = scene_of([circle()], still(9))
    frame = scene.render(0)
    wrong = Sighting(TrackReference("", 9), "red circle", np.array(position), size)
    assert objects.observe(true_view(scene, frame, start_ns=START_NS), [wrong, *true_sightings(scene, frame)]) == [0, 1]
    assert objects.counters[reason] == 1


def test_bounds_forget_missing_and_old_objects_first() -> None:
    """`max_objects` and `forget_after_s`, each counted."""
    objects = ObjectMap(MapOptions(min_sightings=1, max_objects=3, forget_after_s=100.0))
    view = true_view(scene := scene_of([], still(9)), scene.render(0))
    for number in range(5):
        sighting = Sighting(TrackReference("", number), f"mug {number}", np.array([number - 2.0, 0.0, 3.0]), (0.1, 0.1, 0.1))
        objects.observe(replace(view, stamp_ns=START_NS + number * NS, depth=None), [sighting])
        if number == 2:
            objects.table[2].state = ObjectState.MISSING
            objects.table.refresh(objects.table[2])
    assert sorted(item.id for item in objects.table) == [3, 4, 5]
    assert objects.counters["forgotten_by_number"] == 2
    assert objects.take_changes().removed == {1, 2}
    objects.tick(START_NS + 103 * NS)
    assert [item.id for item in objects.table] == [4, 5]
    assert objects.counters["forgotten_by_age"] == 1


def test_requests_name_ids_that_do_not_exist() -> None:
    """Nothing is forgotten if one of the ids is wrong."""
    objects = ObjectMap()
    walk(objects, scene_of([circle()], still(9)), 0.0, 2.0)
    with pytest.raises(MapError, match="no object 7"):
        objects.forget([1, 7])
    assert objects.rename(1, " dock ").name == "dock"
    assert objects.forget([1]) == 1
    with pytest.raises(MapError, match="no object 1"):
        objects.rename(1, "dock")


def test_a_thing_with_two_labels_is_one_object_with_the_most_frequent_label() -> None:
    """A track drifts to a neighbor and takes its label along: the place and the colors are still those of the neighbor."""
    objects = ObjectMap()
    scene = scene_of([circle()], still(9))
    for step in range(30):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        (sighting,) = true_sightings(scene, frame, first_track=step)
        label = "blue star" if step < 4 else "red circle"
        objects.observe(true_view(scene, frame, start_ns=START_NS), [replace(sighting, label=label)])
    assert (only(objects).label, only(objects).labels) == ("red circle", {"blue star": 4, "red circle": 26})


def test_a_second_track_of_a_thing_makes_no_second_object() -> None:
    """Both tracks are shown on each image, with two labels. The place is taken by the first object."""
    objects = ObjectMap()
    scene = scene_of([circle()], still(9))
    for step in range(15):
        frame = scene.render_from(scene.room.camera_pose(step / 5), step / 5)
        (sighting,) = true_sightings(scene, frame)
        double = replace(sighting, label="blue star", track=TrackReference("", 9))
        objects.observe(true_view(scene, frame, start_ns=START_NS), [sighting, double] if step > 4 else [sighting])
    assert only(objects).label == "red circle"
    assert objects.counters["duplicates"] >= 1


def test_two_objects_at_one_place_are_merged() -> None:
    """A file of an older run has both. When the thing is seen, they are one, and both ids lead to it."""
    scene = scene_of([circle()], still(9))
    first = ObjectMap()
    walk(first, scene, 0.0, 2.0)
    double = replace(only(first), id=2, label="blue star", sightings=3, labels=Counter({"blue star": 3}), tracks={})
    objects = ObjectMap(objects=[only(first), double])
    walk(objects, scene, 3.0, 5.0)
    assert only(objects).label == "red circle"
    assert objects.resolve(1) is objects.resolve(2)


def test_two_alike_things_side_by_side_stay_two() -> None:
    """Their distance is two thirds of their size."""
    objects = ObjectMap()
    walk(objects, scene_of([circle(6.0, 2.9), circle(6.0, 3.1)], still(9)), 0.0, 4.0)
    assert len(objects.table) == 2
