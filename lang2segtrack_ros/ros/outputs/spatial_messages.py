# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects in space as messages: 3-D detections, RViz markers, coloured points, TF frames."""

from __future__ import annotations

import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from geometry_msgs.msg import Point, Pose, TransformStamped
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from lang2segtrack_ros.geometry.surface import Surface
from lang2segtrack_ros.io.rendering import palette
from lang2segtrack_ros.types.results import Track

FIELDS = ("x", "y", "z", "rgb", "id")
POINT = np.dtype([(name, "<u4" if name in ("rgb", "id") else "<f4") for name in FIELDS])
LABEL_GAP_M = 0.03
LABEL_M = 0.05
LEAST_SIDE_M = 0.005
"""RViz does not draw a box without thickness."""


@dataclass(frozen=True, eq=False)
class PlacedTrack:
    """A visible object and the surface that depth shows of it."""

    track: Track
    surface: Surface


def _pose(position: tuple[float, float, float]) -> Pose:
    pose = Pose()
    pose.position = Point(x=position[0], y=position[1], z=position[2])
    pose.orientation.w = 1.0
    return pose


def detections_3d_message(objects: Sequence[PlacedTrack], header: Header) -> Detection3DArray:
    """vision_msgs/Detection3DArray: id = track id, results[0].pose = centre of the surface, bbox = the box around it."""
    message = Detection3DArray(header=header)
    for item in objects:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = item.track.label, item.track.score
        result.pose.pose = _pose(item.surface.centre)
        detection = Detection3D(header=header, results=[result], id=str(item.track.id))
        detection.bbox.center = _pose(item.surface.middle)
        detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = item.surface.size
        message.detections.append(detection)
    return message


def markers_message(objects: Sequence[PlacedTrack], header: Header) -> MarkerArray:
    """visualization_msgs/MarkerArray: a box and a line of text for each object; it replaces all markers of before."""
    message = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for item in objects:
        red, green, blue = (value / 255 for value in palette(item.track.id))
        box = Marker(header=header, ns="boxes", id=item.track.id, type=Marker.CUBE, action=Marker.ADD, pose=_pose(item.surface.middle))
        box.scale.x, box.scale.y, box.scale.z = (max(side, LEAST_SIDE_M) for side in item.surface.size)
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.35)
        x, _, z = item.surface.middle
        above = _pose((x, item.surface.low[1] - LABEL_GAP_M, z))  # y points down in an optical frame
        text = Marker(header=header, ns="labels", id=item.track.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, pose=above)
        text.scale.z = LABEL_M
        text.scale.x = LABEL_M / 2  # of a space, in RViz from 14.2 on; without it, one is as wide as beside letters of a metre
        text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        text.text = f"{item.track.id} {item.track.label}".strip()
        message.markers += [box, text]
    return message


def cloud_message(objects: Sequence[PlacedTrack], color: NDArray[np.uint8], header: Header) -> PointCloud2:
    """sensor_msgs/PointCloud2 of all objects: x, y, z in metres, rgb of the colour image [H, W, 3], id of the track."""
    points = np.empty(sum(len(item.surface.points) for item in objects), POINT)
    start = 0
    for item in objects:
        part = points[start : start + len(item.surface.points)]
        start += len(part)
        part["x"], part["y"], part["z"] = item.surface.points.T
        red, green, blue = color[item.surface.pixels[:, 0], item.surface.pixels[:, 1]].astype(np.uint32).T
        part["rgb"] = red << 16 | green << 8 | blue
        part["id"] = item.track.id
    # RViz and PCL read packed colour as a float of the same bits.
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.UINT32 if name == "id" else PointField.FLOAT32, count=1)
        for index, name in enumerate(FIELDS)
    ]
    message = PointCloud2(header=header, height=1, width=len(points), fields=fields, is_bigendian=False, is_dense=True)
    message.point_step, message.row_step = POINT.itemsize, POINT.itemsize * len(points)
    message.data = array.array("B", points.tobytes())
    return message


def transforms_message(objects: Sequence[PlacedTrack], header: Header, prefix: str) -> TFMessage:
    """tf2_msgs/TFMessage: frame `prefix` + id at the centre of each object, turned like the camera's optical frame."""
    message = TFMessage()
    for item in objects:
        transform = TransformStamped(header=header, child_frame_id=f"{prefix}{item.track.id}")
        moved = transform.transform.translation
        moved.x, moved.y, moved.z = item.surface.centre
        transform.transform.rotation.w = 1.0
        message.transforms.append(transform)
    return message
