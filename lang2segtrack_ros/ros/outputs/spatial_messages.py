# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of objects in 3-D: detections, RViz markers, colored points and TF frames."""

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
MIN_SIDE_M = 0.005
"""RViz does not draw a box of zero thickness."""


@dataclass(frozen=True, eq=False)
class TrackSurface:
    """A visible track and its surface.

    Attributes:
        track: the track.
        surface: visible surface of the object, measured from depth in the color camera's optical frame, meters.
    """

    track: Track
    surface: Surface


def _pose(position: tuple[float, float, float]) -> Pose:
    pose = Pose()
    pose.position = Point(x=position[0], y=position[1], z=position[2])
    pose.orientation.w = 1.0
    return pose


def detections_3d_message(objects: Sequence[TrackSurface], header: Header) -> Detection3DArray:
    """Return a vision_msgs/Detection3DArray: id = track id, results[0].pose = center of the surface, bbox = box around the surface."""
    message = Detection3DArray(header=header)
    for item in objects:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = item.track.label, item.track.score
        result.pose.pose = _pose(item.surface.center)
        detection = Detection3D(header=header, results=[result], id=str(item.track.id))
        detection.bbox.center = _pose(item.surface.box_center)
        detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = item.surface.size
        message.detections.append(detection)
    return message


def markers_message(objects: Sequence[TrackSurface], header: Header) -> MarkerArray:
    """Return a visualization_msgs/MarkerArray with a box and a text for each object. It replaces all earlier markers."""
    message = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for item in objects:
        red, green, blue = (value / 255 for value in palette(item.track.id))
        box = Marker(header=header, ns="boxes", id=item.track.id, type=Marker.CUBE, action=Marker.ADD, pose=_pose(item.surface.box_center))
        box.scale.x, box.scale.y, box.scale.z = (max(side, MIN_SIDE_M) for side in item.surface.size)
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.35)
        x, _, z = item.surface.box_center
        above = _pose((x, item.surface.box_min[1] - LABEL_GAP_M, z))  # y points down in an optical frame
        text = Marker(header=header, ns="labels", id=item.track.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, pose=above)
        text.scale.z = LABEL_M
        text.scale.x = LABEL_M / 2  # width of a space, from RViz 14.2 on; the default fits letters of one meter
        text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        text.text = f"{item.track.id} {item.track.label}".strip()
        message.markers += [box, text]
    return message


def cloud_message(objects: Sequence[TrackSurface], color: NDArray[np.uint8], header: Header) -> PointCloud2:
    """Return a sensor_msgs/PointCloud2 of all objects: x, y, z in meters, rgb, and id of the track.

    Args:
        objects: objects with their surfaces.
        color: RGB uint8 [H, W, 3] image.
        header: header of the image.
    """
    points = np.empty(sum(len(item.surface.points) for item in objects), POINT)
    start = 0
    for item in objects:
        part = points[start : start + len(item.surface.points)]
        start += len(part)
        part["x"], part["y"], part["z"] = item.surface.points.T
        red, green, blue = color[item.surface.pixels[:, 0], item.surface.pixels[:, 1]].astype(np.uint32).T
        part["rgb"] = red << 16 | green << 8 | blue
        part["id"] = item.track.id
    # RViz and PCL read packed color as a float with the same bits.
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.UINT32 if name == "id" else PointField.FLOAT32, count=1)
        for index, name in enumerate(FIELDS)
    ]
    message = PointCloud2(header=header, height=1, width=len(points), fields=fields, is_bigendian=False, is_dense=True)
    message.point_step, message.row_step = POINT.itemsize, POINT.itemsize * len(points)
    message.data = array.array("B", points.tobytes())
    return message


def transforms_message(objects: Sequence[TrackSurface], header: Header, prefix: str) -> TFMessage:
    """Return a tf2_msgs/TFMessage with a frame at the center of each object, oriented like the camera's optical frame.

    Args:
        objects: objects with their surfaces.
        header: header of the image.
        prefix: start of each frame's name. The track id follows.
    """
    message = TFMessage()
    for item in objects:
        transform = TransformStamped(header=header, child_frame_id=f"{prefix}{item.track.id}")
        translation = transform.transform.translation
        translation.x, translation.y, translation.z = item.surface.center
        transform.transform.rotation.w = 1.0
        message.transforms.append(transform)
    return message
