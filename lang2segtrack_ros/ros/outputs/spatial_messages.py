# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of objects in 3-D: detections, RViz markers, colored points and TF frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, TransformStamped
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import BoundingBox3D, Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from lang2segtrack_ros.geometry.oriented_box import OrientedBox, camera_box
from lang2segtrack_ros.geometry.surface import Surface
from lang2segtrack_ros.io.rendering import palette
from lang2segtrack_ros.ros.support.conversions import RosMessages
from lang2segtrack_ros.types.results import Track

LIBRARY = RosMessages()
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
        orient: returns the oriented box of a surface.
    """

    track: Track
    surface: Surface
    orient: Callable[[Surface], OrientedBox] = camera_box

    @cached_property
    def box(self) -> OrientedBox:
        """Oriented box around the surface, in the color camera's optical frame."""
        return self.orient(self.surface)


def make_pose(position: tuple[float, float, float], orientation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)) -> Pose:
    """Return a position in meters and an orientation (x, y, z, w) as geometry_msgs/Pose."""
    pose = Pose()
    pose.position = Point(x=position[0], y=position[1], z=position[2])
    pose.orientation = Quaternion(x=orientation[0], y=orientation[1], z=orientation[2], w=orientation[3])
    return pose


def box_message(box: OrientedBox) -> BoundingBox3D:
    """Return a box as vision_msgs/BoundingBox3D."""
    message = BoundingBox3D(center=make_pose(box.center, box.quaternion))
    message.size.x, message.size.y, message.size.z = box.size
    return message


def detections_3d_message(objects: Sequence[TrackSurface], header: Header) -> Detection3DArray:
    """Return a vision_msgs/Detection3DArray: id = track id, results[0].pose = center of the surface, bbox = box around the surface."""
    message = Detection3DArray(header=header)
    for item in objects:
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = item.track.label, item.track.score
        result.pose.pose = make_pose(item.surface.center)
        message.detections.append(Detection3D(header=header, results=[result], id=str(item.track.id), bbox=box_message(item.box)))
    return message


def markers_message(objects: Sequence[TrackSurface], header: Header) -> MarkerArray:
    """Return a visualization_msgs/MarkerArray with a box and a text for each object. It replaces all earlier markers."""
    message = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for item in objects:
        red, green, blue = (value / 255 for value in palette(item.track.id))
        pose = make_pose(item.box.center, item.box.quaternion)
        box = Marker(header=header, ns="boxes", id=item.track.id, type=Marker.CUBE, action=Marker.ADD, pose=pose)
        box.scale.x, box.scale.y, box.scale.z = (max(side, MIN_SIDE_M) for side in item.box.size)
        box.color = ColorRGBA(r=red, g=green, b=blue, a=0.35)
        x, _, z = item.surface.box_center
        above = make_pose((x, item.surface.box_min[1] - LABEL_GAP_M, z))  # y points down in an optical frame
        text = Marker(header=header, ns="labels", id=item.track.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, pose=above)
        text.scale.z = LABEL_M
        text.scale.x = LABEL_M / 2  # width of a space, from RViz 14.2 on; the default fits letters of one meter
        text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        text.text = f"{item.track.id} {item.track.label}".strip()
        message.markers += [box, text]
    return message


def pack_color(color: NDArray[np.uint8], pixels: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return the colors of pixels (row, column) [N, 2] as PCL packs them: uint32 [N], 0x00rrggbb."""
    red, green, blue = color[pixels[:, 0], pixels[:, 1]].astype(np.uint32).T
    packed: NDArray[np.uint32] = red << 16 | green << 8 | blue
    return packed


def point_cloud(data: Any, shape: tuple[int, int], kind: np.dtype[Any], header: Header, is_dense: bool = True) -> PointCloud2:
    """Return points as sensor_msgs/PointCloud2.

    Args:
        data: array.array of the bytes of all points.
        shape: height and width; the height of a cloud that is not organized is 1.
        kind: structured type of a point with fields of 4 bytes. All are float32, except `id`.
        header: header of the cloud.
        is_dense: False if points may be NaN.
    """
    # RViz and PCL read packed color as a float with the same bits.
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.UINT32 if name == "id" else PointField.FLOAT32, count=1)
        for index, name in enumerate(kind.names or ())
    ]
    return LIBRARY.make(
        "sensor_msgs/msg/PointCloud2",
        header=header,
        height=shape[0],
        width=shape[1],
        fields=fields,
        is_bigendian=False,
        point_step=kind.itemsize,
        row_step=kind.itemsize * shape[1],
        data=data,
        is_dense=is_dense,
    )


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
        part["rgb"] = pack_color(color, item.surface.pixels)
        part["id"] = item.track.id
    return point_cloud(LIBRARY.to_field(points.view(np.uint8)), (1, len(points)), POINT, header)


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
