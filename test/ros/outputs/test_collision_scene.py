# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The planning scene gets changes only: each message makes MoveIt check its plans again."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from lang2segtrack_ros.geometry.oriented_box import OrientedBox
from lang2segtrack_ros.ros.outputs.collision_scene import CollisionScene


def box(x: float = 0.0, turn: float = 0.0, size: tuple[float, float, float] = (0.3, 0.2, 0.1)) -> OrientedBox:
    return OrientedBox((x, 0.0, 1.0), Rotation.from_euler("z", turn, degrees=True).as_matrix(), size)


def test_only_changes_are_sent() -> None:
    """Noise of some millimeters and degrees is no change. A centimeter, a turn and another size are."""
    scene = CollisionScene()
    assert scene.changed({1: box(), 2: box(1.0)}) == [1, 2]
    assert scene.changed({1: box(0.005, 3.0), 2: box(1.0)}) == []
    assert scene.changed({1: box(0.015)}) == [1]
    assert scene.changed({1: box(0.015, 20.0)}) == [1]
    assert scene.changed({1: box(0.015, 20.0, (0.4, 0.2, 0.1))}) == [1]


def test_exchanged_axes_are_no_change() -> None:
    """A box with similar sides may name them the other way round on the next image."""
    scene = CollisionScene()
    scene.changed({1: box()})
    swapped = OrientedBox(box().center, np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), (0.2, 0.3, 0.1))
    assert scene.changed({1: swapped}) == []


def test_small_steps_add_up() -> None:
    """A slow object is compared with the box that was sent, not with the last image."""
    scene = CollisionScene()
    scene.changed({1: box()})
    assert [scene.changed({1: box(0.004 * step)}) for step in range(1, 4)] == [[], [], [1]]


def test_objects_are_removed_when_their_track_ends() -> None:
    """Hidden objects stay obstacles. Each end is sent once, and a new subscriber gets every box again."""
    scene = CollisionScene()
    scene.changed({1: box(), 2: box(1.0)})
    assert scene.removed({1, 2}) == []
    assert scene.removed({2}) == [1]
    assert scene.removed({2}) == []
    assert scene.changed({2: box(1.0)}) == []
    scene.forget()
    assert scene.changed({2: box(1.0)}) == [2]
