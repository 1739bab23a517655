# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""3-D messages: measured values in the fields and conventions that RViz, PCL and tf2 expect."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from lang2segtrack_ros.geometry.surface import Surface
from lang2segtrack_ros.ros.outputs import spatial_messages
from lang2segtrack_ros.ros.outputs.spatial_messages import TrackSurface
from test.io.test_rendering import make_track

HEADER = Header(frame_id="eye")
COLOR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def track_surface(track_id: int, points: int = 2) -> TrackSurface:
    xyz = np.arange(points * 3, dtype=np.float32).reshape(points, 3) + track_id
    pixels = np.array([[1, 2], [3, 5]])[:points]
    surface = Surface((0.1, 0.2, 1.0), (0.0, 0.1, 0.9), (0.3, 0.5, 1.0), xyz, pixels, 0.9, 0.001)
    return TrackSurface(make_track(np.ones((4, 6), bool), track_id), surface)


def test_detections_hold_center_and_box() -> None:
    (item,) = spatial_messages.detections_3d_message([track_surface(7)], HEADER).detections
    assert (item.id, item.results[0].hypothesis.class_id) == ("7", "cup")
    center = item.results[0].pose.pose.position
    assert (center.x, center.y, center.z) == (0.1, 0.2, 1.0)
    assert item.bbox.center.position.y == pytest.approx(0.3)
    assert (item.bbox.size.x, item.bbox.size.y, item.bbox.size.z) == pytest.approx((0.3, 0.4, 0.1))
    assert item.bbox.center.orientation.w == 1.0, "a quaternion of zeros is not a rotation"


def test_markers_replace_earlier_ones() -> None:
    markers = spatial_messages.markers_message([track_surface(7), track_surface(9)], HEADER).markers
    assert markers[0].action == Marker.DELETEALL
    assert [(item.ns, item.id) for item in markers[1:]] == [("boxes", 7), ("labels", 7), ("boxes", 9), ("labels", 9)]
    box, text = markers[1:3]
    assert text.text == "7 cup"
    assert text.pose.position.y < box.pose.position.y - box.scale.y / 2, "the text must be above the box; y points down"
    assert len(spatial_messages.markers_message([], HEADER).markers) == 1


def test_cloud_holds_points_colors_and_ids() -> None:
    message = spatial_messages.cloud_message([track_surface(7), track_surface(9, points=1)], COLOR, HEADER)
    assert message.width * message.point_step == message.row_step == len(message.data)
    points = np.frombuffer(message.data, spatial_messages.POINT)
    assert points["id"].tolist() == [7, 7, 9]
    assert (points["x"][0], points["y"][0], points["z"][0]) == (7.0, 8.0, 9.0)
    red, green, blue = COLOR[1, 2].tolist()
    assert points["rgb"][0] == red * 65536 + green * 256 + blue
    layout = [(field.name, field.offset, field.datatype) for field in message.fields]
    assert layout == [(name, 4 * i, PointField.UINT32 if name == "id" else PointField.FLOAT32) for i, name in enumerate(points.dtype.names)]


def test_empty_cloud_is_a_valid_message() -> None:
    message = spatial_messages.cloud_message([], COLOR, HEADER)
    assert (message.width, message.height, len(message.data)) == (0, 1, 0)


def test_transforms_have_prefix_and_center() -> None:
    (item,) = spatial_messages.transforms_message([track_surface(7)], HEADER, "arm_object_").transforms
    assert (item.header.frame_id, item.child_frame_id) == ("eye", "arm_object_7")
    assert item.transform.translation.z == 1.0
    assert item.transform.rotation.w == 1.0
