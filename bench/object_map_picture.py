# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A top view of the toy room: truth, path of the camera, and the objects of a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from lang2segtrack_ros.object_map.objects import MapObject, ObjectState
from lang2segtrack_ros.toyworld.room import Room
from lang2segtrack_ros.toyworld.shapes import COLORS

SCALE = 110.0
MARGIN = 40
FONT = cv2.FONT_HERSHEY_SIMPLEX


def top_view(room: Room, objects: Sequence[MapObject], seconds: float, path: Path) -> None:
    """Write a picture: filled circles are items, rings are objects of the map with id and label, gray is the path and the furniture.

    Args:
        room: the room.
        objects: objects of the map.
        seconds: time of the truth.
        path: the PNG file.
    """
    width, height = (round(side * SCALE) + 2 * MARGIN for side in room.size[:2])
    picture = np.full((height, width, 3), 250, np.uint8)

    def pixel(x: float, y: float) -> tuple[int, int]:
        return round(MARGIN + x * SCALE), round(height - MARGIN - y * SCALE)

    cv2.rectangle(picture, pixel(0, 0), pixel(*room.size[:2]), (60, 60, 60), 2)
    for block in room.blocks:
        cv2.rectangle(picture, pixel(*block.low[:2]), pixel(*block.high[:2]), (205, 205, 205), -1)
    steps = np.linspace(0.0, min(60.0, room.duration), 200)
    walk = np.array([pixel(*room.camera_pose(float(step)).translation[:2]) for step in steps], np.int32)
    cv2.polylines(picture, [walk], False, (170, 170, 170), 1, cv2.LINE_AA)
    for item in room.items:
        place = item.place_at(seconds)
        if place is not None:
            cv2.circle(picture, pixel(*place[:2]), round(item.radius_m * SCALE), COLORS[item.color], -1, cv2.LINE_AA)
    for known in objects:
        center = pixel(float(known.position[0]), float(known.position[1]))
        color = (220, 30, 30) if known.state is ObjectState.MISSING else (20, 20, 20)
        cv2.circle(picture, center, 21, color, 2, cv2.LINE_AA)
        cv2.drawMarker(picture, center, color, cv2.MARKER_CROSS, 9, 1, cv2.LINE_AA)
        text = f"{known.id} {known.label}" + (" (missing)" if known.state is ObjectState.MISSING else "")
        left = min(center[0] - 34, width - 10 - 8 * len(text))
        cv2.putText(picture, text, (max(4, left), center[1] - 27), FONT, 0.42, color, 1, cv2.LINE_AA)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
