# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that navigation, motion planning and grasping take: organized clouds, poses, object clouds and collision objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from lang2segtrack.msg import ObjectCloud, ObjectClouds
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.geometry.organized_cloud import organize
from lang2segtrack_ros.geometry.oriented_box import OrientedBox
from lang2segtrack_ros.ros.inputs.depth import RegisteredDepth
from lang2segtrack_ros.ros.outputs.spatial_messages import LIBRARY, TrackSurface, box_message, make_pose, pack_color, point_cloud
from lang2segtrack_ros.ros.support.interfaces import COLLISION_OBJECTS

XYZ = np.dtype([(name, "<f4") for name in ("x", "y", "z")])
COLORED = np.dtype([*((name, "<f4") for name in ("x", "y", "z")), ("rgb", "<u4")])
ADD, REMOVE = bytes([0]), bytes([1])
"""Operations of moveit_msgs/CollisionObject, whose field is of type byte."""
MIN_SIDE_M = 0.01
"""A flat visible surface has no depth, but a collision needs a volume."""
BOX = 1
"""Type of shape_msgs/SolidPrimitive."""


def organized_cloud_message(registered: RegisteredDepth, header: Header) -> PointCloud2:
    """Return one point for each pixel of the color image.

    Args:
        registered: depth and camera of the image.
        header: header of the image.
    """
    shape = registered.camera.height, registered.camera.width
    data, points = LIBRARY.zeros((*shape, 3), "<f4")
    organize(registered.depth, registered.camera, points)
    return point_cloud(data, shape, XYZ, header, is_dense=False)


def pose_message(item: TrackSurface, motion: RigidTransform, header: Header) -> PoseStamped:
    """Return the center of an object's visible surface, with the orientation of its box.

    Args:
        item: object.
        motion: transform from the camera's frame to that of the header.
        header: stamp of the image, and target frame.
    """
    x, y, z = (float(value) for value in motion.rotation @ np.array(item.surface.center) + motion.translation)
    return PoseStamped(header=header, pose=make_pose((x, y, z), item.box.moved(motion).quaternion))


def object_clouds_message(
    objects: Sequence[TrackSurface], color: NDArray[np.uint8], motion: RigidTransform, header: Header
) -> ObjectClouds:
    """Return one cloud for each object.

    Args:
        objects: objects with their surfaces.
        color: RGB uint8 [H, W, 3] image.
        motion: transform from the camera's frame to that of the header.
        header: stamp of the image, and target frame.
    """
    message = ObjectClouds(header=header)
    rotation, translation = motion.rotation.astype(np.float32), motion.translation.astype(np.float32)
    for item in objects:
        points = np.empty(len(item.surface.points), COLORED)
        points["x"], points["y"], points["z"] = rotation @ item.surface.points.T + translation[:, None]
        points["rgb"] = pack_color(color, item.surface.pixels)
        cloud = point_cloud(LIBRARY.to_field(points.view(np.uint8)), (1, len(points)), COLORED, header)
        box = box_message(item.box.moved(motion))
        message.objects.append(ObjectCloud(id=item.track.id, label=item.track.label, score=item.track.score, box=box, cloud=cloud))
    return message


def collision_object_message(name: str, box: OrientedBox | None, header: Header, label: str = "") -> Any:
    """Return a box for MoveIt's planning scene as moveit_msgs/CollisionObject.

    Args:
        name: id of the object in the scene, not empty: MoveIt removes every object for an empty one.
        box: box in the frame of the header. None removes the object.
        header: stamp of the image, and target frame.
        label: label of the track, as the type of the object.
    """
    message_class = COLLISION_OBJECTS.message_class
    message = message_class(header=header, id=name, operation=ADD if box is not None else REMOVE)
    if box is not None:
        message.type.key = label
        message.pose = make_pose(box.center, box.quaternion)
        message.primitives = [
            LIBRARY.make("shape_msgs/msg/SolidPrimitive", type=BOX, dimensions=[max(side, MIN_SIDE_M) for side in box.size])
        ]
        message.primitive_poses = [make_pose((0.0, 0.0, 0.0))]
    return message
