# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Remembered objects as JSON for the web page."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

from lang2segtrack.msg import MapObject
from lang2segtrack_ros.io.image_messages import stamp_ns
from lang2segtrack_ros.object_map.objects import ObjectState

NEAR_M = 3.0
"""Maximum distance of the named object that describes a place."""


def remembered(objects: Sequence[MapObject], now_ns: int) -> list[dict[str, Any]]:
    """Return objects for JSON: id, label, name, state, age in seconds, place, and thumbnail as a data URL.

    Args:
        objects: messages in one frame.
        now_ns: current time in nanoseconds.
    """
    return [
        {
            "id": int(item.id),
            "label": item.label,
            "name": item.name,
            "state": ObjectState(item.state).name.lower(),
            "age_s": max(0, round((now_ns - stamp_ns(item.last_seen)) / 1e9)),
            "near": _near(item, objects),
            "thumbnail": _data_url(bytes(item.thumbnail.data)),
        }
        for item in objects
    ]


def _near(item: MapObject, objects: Sequence[MapObject]) -> str:
    """Return the distance from the nearest object with a name, such as "1.2 m from dock". Empty if none is near."""
    named = [other for other in objects if other.name and other.id != item.id and other.state != MapObject.MISSING]
    distances = [(_distance(item, other), other.name) for other in named]
    distance, name = min(distances, default=(math.inf, ""))
    return f"{distance:.1f} m from {name}" if distance <= NEAR_M else ""


def _distance(first: MapObject, second: MapObject) -> float:
    a, b = first.pose.pose.position, second.pose.pose.position
    return math.dist((a.x, a.y, a.z), (b.x, b.y, b.z))


def _data_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""
