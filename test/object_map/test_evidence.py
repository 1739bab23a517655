# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Evidence from depth at one place, on planes of known distance."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.object_map.evidence import Place, look_at, rows_in_view
from lang2segtrack_ros.object_map.objects import MapObject, View
from lang2segtrack_ros.object_map.table import ObjectTable
from lang2segtrack_ros.types.frame import CameraModel

CAMERA = CameraModel(300.0, 300.0, 159.5, 119.5, 320, 240)


def view_of(depth: float | np.ndarray, size: tuple[int, int] = (240, 320)) -> View:
    image = np.full(size, depth, np.float32) if isinstance(depth, (int, float)) else depth
    return View(0, RigidTransform.identity(), CAMERA, image)


@pytest.mark.parametrize(
    ("depth", "place"),
    [
        (4.0, Place.FREE),  # a wall two meters behind
        (2.12, Place.FREE),  # a wall 12 cm behind
        (2.03, Place.TAKEN),  # within the margin: something is there
        (2.0, Place.TAKEN),
        (1.85, Place.TAKEN),  # the front of a thick object
        (1.2, Place.OCCLUDED),
        (float("nan"), Place.UNKNOWN),
    ],
)
def test_distance_of_the_surface_decides(depth: float, place: Place) -> None:
    """The object was 2 m away, with a radius of 10 cm."""
    assert look_at(view_of(depth), np.array([0.0, 0.0, 2.0]), 0.1, 0.06) is place


def test_a_surface_over_half_of_the_place_is_no_free_place() -> None:
    """The edge of an occluder hides the left half: nothing follows."""
    depth = np.full((240, 320), 4.0, np.float32)
    depth[:, :160] = 1.0
    assert look_at(view_of(depth), np.array([0.0, 0.0, 2.0]), 0.1, 0.06) is Place.OCCLUDED


def test_no_depth_is_no_evidence() -> None:
    """A camera without depth never finds an object missing."""
    assert look_at(View(0, RigidTransform.identity(), CAMERA), np.array([0.0, 0.0, 2.0]), 0.1, 0.06) is Place.UNKNOWN


def test_depth_of_half_the_size() -> None:
    """Depth may be smaller than color. A hole in the middle of the small image must be found at the same place."""
    depth = np.full((120, 160), 1.0, np.float32)
    depth[50:70, 70:90] = 4.0
    assert look_at(view_of(depth), np.array([0.0, 0.0, 2.0]), 0.08, 0.06) is Place.FREE
    assert look_at(view_of(depth), np.array([0.5, 0.0, 2.0]), 0.08, 0.06) is Place.OCCLUDED


@pytest.mark.parametrize(
    ("position", "in_view"),
    [
        ((0.0, 0.0, 2.0), True),
        ((1.0, 0.0, 2.0), False),  # the border of the image cuts it
        ((0.0, 0.0, -2.0), False),  # behind the camera
        ((0.0, 0.0, 7.0), False),  # beyond the range
        ((0.0, 0.0, 0.1), False),  # too near for a depth camera
    ],
)
def test_only_whole_places_in_view_count(position: tuple[float, float, float], in_view: bool) -> None:
    """Each other place is no evidence."""
    table = ObjectTable()
    table.add(MapObject(5, "mug", np.array(position), np.eye(3) * 1e-4, (0.2, 0.2, 0.2), 0, 0))
    assert [int(table.ids[row]) for row in rows_in_view(view_of(4.0), table, 5.0)] == ([5] if in_view else [])
