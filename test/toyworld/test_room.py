# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The room in three dimensions is the truth of other tests, so its pictures are checked by geometry."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.geometry.rays import rays
from lang2segtrack_ros.toyworld.room import PILLARS, Waypoint, default_room, furnished, optical_pose, standing
from lang2segtrack_ros.toyworld.room_scene import RoomScene


@pytest.fixture(scope="module")
def scene() -> RoomScene:
    return RoomScene(default_room(), 320, 240)


def test_pose_is_an_optical_frame() -> None:
    """x points right, y down and z forward, as REP-103 says."""
    pose = optical_pose((1.0, 2.0, 3.0), 0.0, 0.0)
    assert pose.rotation @ [0, 0, 1] == pytest.approx([1, 0, 0])
    assert pose.rotation @ [1, 0, 0] == pytest.approx([0, -1, 0])
    assert pose.rotation @ [0, 1, 0] == pytest.approx([0, 0, -1])
    turned = optical_pose((0.0, 0.0, 0.0), 0.7, -0.3).rotation
    assert turned @ turned.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(turned) == pytest.approx(1.0)


def test_depth_lies_on_the_walls_and_the_floor(scene: RoomScene) -> None:
    """Each pixel of the background becomes a point on a side of the room, within the noise of the depth."""
    frame = scene.render(40)
    depth = frame.depth_m
    points = np.dstack([rays(scene.camera) * depth[..., None], depth])[frame.instances == 0]
    world = points @ frame.pose.rotation.T + frame.pose.translation
    world = world[np.isfinite(world).all(axis=1)]
    room = np.array(scene.room.size)
    to_side = np.minimum(np.abs(world), np.abs(world - room)).min(axis=1)
    for block in scene.room.blocks:
        outside = np.maximum(np.maximum(np.array(block.low) - world, world - np.array(block.high)), 0.0)
        inside = np.minimum(np.abs(world - np.array(block.low)), np.abs(world - np.array(block.high))).min(axis=1)
        to_side = np.minimum(to_side, np.linalg.norm(outside, axis=1) + np.where((outside == 0).all(axis=1), inside, 0.0))
    assert np.percentile(to_side, 99) < 0.12
    assert np.median(to_side) < 0.03


def test_masks_lie_at_the_true_places(scene: RoomScene) -> None:
    """The middle of each whole item, with its depth, is its true place."""
    checked = 0
    for index in range(0, 900, 60):
        frame = scene.render(index)
        for number, truth in frame.bodies.items():
            if truth.fraction < 0.98:
                continue
            mask = frame.instances == number
            depth = np.nanmedian(frame.depth_m[mask])
            rows, columns = np.nonzero(mask)
            center = np.array([*rays(scene.camera)[round(rows.mean()), round(columns.mean())], 1.0]) * depth
            place = scene.bodies[number - 1].place_at(frame.seconds)
            assert frame.pose.rotation @ center + frame.pose.translation == pytest.approx(place, abs=0.04)
            assert truth.center == pytest.approx(center, abs=0.04)
            checked += 1
    assert checked > 20


def test_a_pillar_hides_what_is_behind_it() -> None:
    """The item is in the image, and no pixel of it is visible."""
    (x1, y1, _), (x2, y2, _) = PILLARS[0].low, PILLARS[0].high
    item = standing("red", "circle", 0.12, (x1 + x2) / 2 + 1.5, (y1 + y2) / 2)
    camera = Waypoint(0.0, (x1 + x2) / 2 - 1.5, (y1 + y2) / 2, 0.0)
    scene = RoomScene(furnished([item], [camera]), 320, 240)
    assert scene.render(0).bodies[1].visible == 0
    assert scene.render(0).bodies[1].box is None


def test_items_come_and_go_by_time(scene: RoomScene) -> None:
    """The toy camera's room takes one item away and moves another one."""
    taken, moved = scene.bodies[4], scene.bodies[9]
    assert taken.place_at(74.0) is not None
    assert taken.place_at(76.0) is None
    assert moved.place_at(74.0) != moved.place_at(76.0)


def test_a_frame_depends_on_seed_and_index_alone(scene: RoomScene) -> None:
    """Tests and benchmarks must see the same pictures in any order."""
    first = scene.render(33)
    scene.render(2)
    again = RoomScene(default_room(), 320, 240).render(33)
    other = RoomScene(default_room(), 320, 240, seed=1).render(33)
    assert np.array_equal(first.color, again.color)
    assert np.array_equal(first.depth_mm, again.depth_mm)
    assert not np.array_equal(first.color, other.color)
