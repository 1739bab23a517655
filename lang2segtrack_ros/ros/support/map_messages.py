# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of the object map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from lang2segtrack.msg import MapObject as MapObjectMessage
from lang2segtrack.msg import TrackReference as TrackReferenceMessage
from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.io.rendering import palette
from lang2segtrack_ros.object_map.objects import NS, MapObject, ObjectState

LABEL_M, LABEL_GAP_M, MIN_SIDE_M = 0.08, 0.06, 0.01
MISSING_COLOR = (0.9, 0.15, 0.15)
ALPHA = {ObjectState.VISIBLE: 0.6, ObjectState.REMEMBERED: 0.3, ObjectState.MOVED: 0.5, ObjectState.MISSING: 0.2}
MAX_TRACKS = 10


def time_message(stamp_ns: int) -> Time:
    """Return a time in nanoseconds as a message."""
    seconds, rest = divmod(max(0, stamp_ns), NS)
    return Time(sec=min(seconds, 2**31 - 1), nanosec=rest)


def object_message(
    item: MapObject, thumbnail: Callable[[int], bytes] | None = None, motion: RigidTransform | None = None
) -> MapObjectMessage:
    """Return an object as a message.

    Args:
        item: the object.
        thumbnail: returns the JPEG file of an object; None leaves thumbnails out.
        motion: transform from the fixed frame to the frame of the message; None for the fixed frame.
    """
    position, covariance = item.position, item.covariance
    if motion is not None:
        position = motion.rotation @ position + motion.translation
        covariance = motion.rotation @ covariance @ motion.rotation.T
    message = MapObjectMessage(
        id=item.id,
        label=item.label,
        name=item.name,
        state=int(item.state),
        state_since=time_message(item.state_since_ns),
        first_seen=time_message(item.first_seen_ns),
        last_seen=time_message(item.last_seen_ns),
        moved_at=time_message(item.moved_at_ns),
        sightings=item.sightings,
        score=float(item.score),
    )
    x, y, z = (float(value) for value in position)
    message.pose.pose.position = Point(x=x, y=y, z=z)
    message.pose.pose.orientation.w = 1.0
    full = np.zeros((6, 6))
    full[:3, :3] = covariance
    full[3:, 3:] = np.eye(3) * np.pi**2  # the orientation is not estimated
    message.pose.covariance = full.ravel()
    message.size.x, message.size.y, message.size.z = item.size
    latest = list(item.tracks)[-MAX_TRACKS:]
    message.tracks = [TrackReferenceMessage(source=track.source, track_id=track.track_id) for track in reversed(latest)]
    if thumbnail is not None:
        jpeg = thumbnail(item.id)
        if jpeg:
            message.thumbnail = CompressedImage(format="jpeg", data=jpeg)
    return message


def object_markers(items: Sequence[MapObject], header: Header) -> MarkerArray:
    """Return a box and a text for each object. They replace all earlier markers."""
    message = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    for item in items:
        is_missing = item.state is ObjectState.MISSING
        red, green, blue = MISSING_COLOR if is_missing else (value / 255 for value in palette(item.id))
        box = Marker(header=header, ns="objects", id=item.id, type=Marker.CUBE, action=Marker.ADD)
        x, y, z = (float(value) for value in item.position)
        box.pose.position = Point(x=x, y=y, z=z)
        box.pose.orientation.w = 1.0
        box.scale.x, box.scale.y, box.scale.z = (max(side, MIN_SIDE_M) for side in item.size)
        box.color = ColorRGBA(r=red, g=green, b=blue, a=ALPHA[item.state])
        text = Marker(header=header, ns="object_labels", id=item.id, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD)
        text.pose.position = Point(x=x, y=y, z=z + item.size[2] / 2 + LABEL_GAP_M)
        text.pose.orientation.w = 1.0
        text.scale.z, text.scale.x = LABEL_M, LABEL_M / 2
        text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        state = "" if item.state in (ObjectState.VISIBLE, ObjectState.REMEMBERED) else f" ({item.state.name.lower()})"
        text.text = f"{item.id} {item.name or item.label}{state}"
        message.markers += [box, text]
    return message
