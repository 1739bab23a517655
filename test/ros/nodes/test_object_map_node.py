# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""object_map_node on a real ROS graph: what it stores, what it skips, what it answers. Camera and tracker are perfect."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import PointStamped

from lang2segtrack.msg import MapObject
from lang2segtrack.srv import FindObject, ForgetObject, ListObjects, RenameObject
from lang2segtrack_ros.object_map.store import MapStore, StoreError
from lang2segtrack_ros.ros.support.map_parameters import IN_MEMORY
from lang2segtrack_ros.toyworld.room import Waypoint
from test.object_map.rooms import circle, scene_of, still, with_places
from test.ros.nodes.map_tester import START_NS, map_graph, moved

STEPS = [0.2 * step for step in range(8)]


def test_objects_are_found_with_their_tracks_and_kept_in_the_file(tmp_path: Path) -> None:
    """The whole way: messages in, services and the latched topic out, and a second node that starts with the file."""
    file = tmp_path / "maps" / "objects.db"
    scene = scene_of([circle(6.0, 2.5), circle(6.0, 3.5, "blue")], still(99))
    with map_graph({"file": str(file)}, {"": scene}) as (node, (tester,)):
        for seconds in STEPS:
            tester.show(seconds)
        found = tester.call(FindObject, "/find_object", label="red circle", thumbnails=True)
        assert (found.success, found.header.frame_id, len(found.objects)) == (True, "map", 1)
        item = found.objects[0]
        place = item.pose.pose.position
        assert [place.x, place.y, place.z] == pytest.approx([6.0, 2.5, 0.165], abs=0.05)
        assert np.array(item.pose.covariance).reshape(6, 6)[0, 0] == pytest.approx(1e-4, rel=5.0)
        assert [(track.source, track.track_id) for track in item.tracks] == [("", 1)]
        assert item.state == MapObject.VISIBLE
        picture = cv2.imdecode(np.frombuffer(item.thumbnail.data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        blue, _, red = picture[picture.shape[0] // 2, picture.shape[1] // 2]
        assert red > 150 > blue
        assert tester.call(RenameObject, "/rename_object", id=item.id, name="dock").success
        assert [found.label for found in tester.call(FindObject, "/find_object", label="dock").objects] == ["red circle"]
        assert tester.spin(5.0, lambda: bool(tester.objects) and len(tester.objects[-1].objects) == 2)
        assert (tester.objects[-1].total, tester.objects[-1].map_name) == (2, "default")
        number = item.id
    with map_graph({"file": str(file)}, {"": scene}) as (node, (tester,)):
        listed = tester.call(ListObjects, "/list_objects")
        assert {item.id: item.state for item in listed.objects} == {1: MapObject.REMEMBERED, 2: MapObject.REMEMBERED}
        for seconds in STEPS:
            tester.show(60.0 + seconds, first_track=40)
        item = next(item for item in tester.call(ListObjects, "/list_objects").objects if item.id == number)
        assert (item.name, item.state) == ("dock", MapObject.VISIBLE)
        assert [track.track_id for track in item.tracks] == [41, 1]
        assert tester.call(ForgetObject, "/forget_object", ids=[number]).message == "1 object forgotten"
        assert len(node.objects.table) == 1


def test_requests_in_other_frames() -> None:
    """A place in the frame of the camera, and a response in it: 2.5 m ahead is the depth of the object."""
    scene = scene_of([circle(6.0, 2.5), circle(6.0, 3.5)], still(99))
    with map_graph({"file": IN_MEMORY}, {"": scene}) as (_, (tester,)):
        for seconds in STEPS:
            tester.show(seconds)
        camera = "camera_color_optical_frame"
        near = PointStamped()
        near.header.frame_id = camera
        near.point.x, near.point.z = 0.5, 2.5  # right of the camera, so at the smaller y
        found = tester.call(FindObject, "/find_object", label="red circle", near=near, target_frame=camera)
        assert found.header.frame_id == camera
        first = found.objects[0].pose.pose.position
        assert (first.x, first.z) == pytest.approx((0.5, 2.6), abs=0.1)
        assert found.scores[0] > found.scores[1]
        wrong = tester.call(FindObject, "/find_object", label="red circle", target_frame="kitchen")
        assert not wrong.success
        assert "connect map with kitchen" in wrong.message
        assert not tester.call(ForgetObject, "/forget_object", ids=[77]).success
        assert "states has 9" in tester.call(ListObjects, "/list_objects", states=[9]).message


def test_an_object_that_was_taken_away_is_missing() -> None:
    """Evidence comes over ROS, too: depth, camera_info and TF, on images whose detections are empty."""
    scene = scene_of([with_places(circle(), (2.0, None))], still(99))
    with map_graph({"file": IN_MEMORY}, {"": scene}) as (node, (tester,)):
        for seconds in np.arange(0.0, 4.0, 0.2):
            tester.show(float(seconds))
        (item,) = tester.call(ListObjects, "/list_objects").objects
        assert item.state == MapObject.MISSING
        assert item.state_since.sec == START_NS // 10**9 + 2
        assert tester.spin(5.0, lambda: tester.diagnostics.get("objects_missing") == "1")
        assert node.skipped == {}


def test_without_transforms_nothing_is_stored() -> None:
    """Neither a wrong place nor a place in another frame. The diagnostics say why."""
    with map_graph({"file": IN_MEMORY, "tf_wait_s": 0.1}, {"": scene_of([circle()], still(99))}) as (node, (tester,)):
        for seconds in STEPS:
            tester.show(seconds, tf="none")
        assert tester.spin(5.0, lambda: tester.diagnostics.get("skipped_tf_missing") == str(len(STEPS)))
        assert len(node.objects.table) == 0


def test_late_transforms_are_waited_for() -> None:
    """The pose of an image arrives after its objects. An image whose pose never comes is skipped, and no older pose is used."""
    path = [Waypoint(0.0, 2.5, 3.0, 0.0), Waypoint(10.0, 4.5, 3.0, 0.0)]
    with map_graph({"file": IN_MEMORY, "tf_wait_s": 0.4}, {"": scene_of([circle(6.5)], path)}) as (node, (tester,)):
        for seconds in (0.0, 0.2, 0.4, 0.6):
            tester.show(seconds, tf="none")
            tester.send_tf(tester.scene.room.camera_pose(seconds), START_NS + round(seconds * 1e9))
            tester.spin(0.2)
        assert node.skipped["tf_late"] == 0
        (item,) = node.objects.table
        assert item.position == pytest.approx([6.5, 3.0, 0.165], abs=0.05)
        for seconds in (3.0, 3.2):
            tester.show(seconds, tf="none")
        assert tester.spin(5.0, lambda: node.skipped["tf_late"] == 2)
        assert item.position == pytest.approx([6.5, 3.0, 0.165], abs=0.05)
        assert item.sightings == 4


def test_a_pose_between_two_sides_of_a_jump_is_not_used() -> None:
    """Odometry jumps by 2 m between two transforms. An image between them has no pose."""
    with map_graph({"file": IN_MEMORY, "max_rate": 60.0}, {"": scene_of([circle()], still(99))}) as (node, (tester,)):
        for seconds in STEPS:
            tester.show(seconds)
        pose = tester.scene.room.camera_pose(2.0)
        tester.send_tf(pose, START_NS + 2_000_000_000)
        tester.send_tf(moved(2.0, 0.0).after(pose), START_NS + 2_100_000_000)
        tester.show(2.05, tf="none")
        assert tester.spin(5.0, lambda: node.skipped["tf_jump"] == 1)
        (item,) = node.objects.table
        assert item.position == pytest.approx([6.0, 3.0, 0.165], abs=0.05)


def test_a_loop_closure_moves_the_objects_with_the_anchor_frame() -> None:
    """map -> odom jumps by a meter: the object moves with it, and the next sightings confirm it under its id."""
    parameters = {"file": IN_MEMORY, "anchor_frame": "odom"}
    with map_graph(parameters, {"": scene_of([circle()], still(99))}) as (node, (tester,)):
        for seconds in STEPS:
            tester.show(seconds)
        correction = moved(1.0, -0.5)
        for seconds in STEPS:
            tester.show(5.0 + seconds, correction=correction)
        (item,) = node.objects.table
        assert item.position == pytest.approx([7.0, 2.5, 0.165], abs=0.05)
        assert (item.id, item.sightings, item.moved_at_ns) == (1, 16, 0)
        assert node.objects.counters["corrections"] == 1


def test_a_jump_without_an_anchor_frame_is_reported() -> None:
    """The objects stay, which is right after a relocalization on a known map. The user learns of the choice."""
    with map_graph({"file": IN_MEMORY}, {"": scene_of([circle()], still(99))}) as (node, (tester,)):
        for seconds in STEPS:
            tester.show(seconds)
        tester.show(5.0)
        tester.show(5.2, correction=moved(1.5, 0.0))
        assert tester.spin(5.0, lambda: node.skipped["pose_jumps"] == 1)
        assert next(iter(node.objects.table)).position == pytest.approx([6.0, 3.0, 0.165], abs=0.05)


def test_two_track_nodes_make_one_object() -> None:
    """Both sources use track id 1 for it, from two places."""
    first = scene_of([circle()], still(99))
    second = scene_of([circle()], [Waypoint(0, 6.2, 0.3, 1.5708), Waypoint(99, 6.2, 0.3, 1.5708)])
    second.camera = type(second.camera)(**{**second.camera.__dict__, "frame_id": "side_optical_frame"})
    with map_graph({"file": IN_MEMORY, "sources": "front, side"}, {"front": first, "side": second}) as (node, testers):
        for seconds in STEPS:
            for tester in testers:
                tester.show(seconds)
        (item,) = node.objects.table
        assert {(track.source, track.track_id) for track in item.tracks} == {("front", 1), ("side", 1)}
        assert item.position == pytest.approx([6.0, 3.0, 0.165], abs=0.05)


def test_a_file_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """The same map must not be written by two nodes."""
    store = MapStore(tmp_path / "objects.db")
    refused = pytest.raises(StoreError, match="another process writes the map default")
    with refused, map_graph({"file": str(tmp_path / "objects.db")}, {}):
        pass
    store.close()
