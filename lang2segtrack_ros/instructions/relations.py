# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The geometry of the relations.

Relations of places hold in the image plane, x to the right and y down, because a user describes what the image shows. Distances to other
objects are in meters if all objects have a position in space, and in pixels otherwise. Each function returns how far the relation is
fulfilled as words, or None if it does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from lang2segtrack_ros.instructions.plan import Relation
from lang2segtrack_ros.instructions.scene import SceneObject

SIDE_MARGIN = 0.25
"""Left, right, above and below: minimum distance of the centers, as a fraction of the smaller object's width or height."""
CONTAINED = 0.75
"""In: minimum part of the object inside the convex hull of the other one."""
SUPPORT_TOLERANCE = 0.15
"""On: maximum distance of the object's foot from the other one, as a fraction of the object's height."""
SUPPORT_OVERLAP = 0.5
"""On: minimum part of the object's width above the other one."""
NEXT_TO_GAP = 1.0
"""Next to: maximum gap between the boxes, as a multiple of the mean side of both objects."""
BETWEEN_ENDS = 0.15
"""Between: minimum distance from both ends of the segment between the centers, as a fraction of its length."""
BETWEEN_WIDTH = 0.35
"""Between: maximum distance from that segment, as a fraction of its length."""
SIZE_RATIO = 1.15
"""Larger, smaller: minimum ratio of the areas."""
DEPTH_MARGIN = 0.02
"""In front of, behind, closer, farther: minimum difference of the distances, in meters and as a fraction of the distance."""
GRAY_CHROMA = 12.0
"""Chroma in CIE Lab below which a color is gray. Gray objects are compared by lightness."""
SAME_HUE = 14.0
"""Same color: maximum difference of the hue angles in CIE Lab, degrees. Hue changes little with the light."""
SAME_LIGHTNESS = 20.0
"""Same color: maximum difference in L of two gray objects."""


class MissingDepthError(Exception):
    """A relation that needs depth, on an image without it."""


def distance(item: SceneObject, other: SceneObject, in_space: bool) -> float:
    """Return the distance of the centers: in meters if `in_space`, which needs the position of both objects, else in pixels."""
    if in_space and item.point is not None and other.point is not None:
        return math.dist(item.point, other.point)
    return math.dist(item.center, other.center)


def camera_distance(item: SceneObject) -> float:
    """Return the distance from the camera in meters, along the optical axis. Raise MissingDepthError without depth."""
    if item.depth is None:
        raise MissingDepthError(f"{item} has no depth")
    return item.depth


def comparable_areas(items: Sequence[SceneObject]) -> tuple[list[float], str]:
    """Return the areas of objects and their unit: in proportion to the areas in space if all have depth, else in the image."""
    depths = [item.depth for item in items if item.depth is not None]
    if len(depths) == len(items):
        return [item.area * depth**2 for item, depth in zip(items, depths)], " px m²"
    return [item.area for item in items], " px"


def _side(axis: int, sign: int) -> Callable[[SceneObject, SceneObject], str | None]:
    def holds(item: SceneObject, other: SceneObject) -> str | None:
        offset = sign * (item.center[axis] - other.center[axis])
        return f"{offset:.0f} px" if offset > SIDE_MARGIN * min(item.size[axis], other.size[axis]) else None

    return holds


def _on(item: SceneObject, other: SceneObject) -> str | None:
    """The foot of the object rests on the other one: on its top edge, or inside its outline as on a table seen from above."""
    x1, y1, x2, y2 = item.box
    height = y2 - y1
    overlap = min(x2, other.box[2]) - max(x1, other.box[0])
    if overlap < SUPPORT_OVERLAP * (x2 - x1) or _inside(other, item) >= CONTAINED:
        return None
    gap = -float(cv2.pointPolygonTest(other.hull, ((x1 + x2) / 2, y2), True))
    if gap > SUPPORT_TOLERANCE * height or (item.center[1] > other.center[1] and y2 > other.box[3]):
        return None
    return f"its foot is {max(gap, 0.0):.0f} px away"


def _inside(item: SceneObject, other: SceneObject) -> float:
    """Return the part of an object inside the convex hull of another one, 0..1."""
    if item.mask is None or other.mask is None:
        shared, _ = cv2.intersectConvexConvex(item.hull, other.hull)
        return float(shared / cv2.contourArea(item.hull))
    filled = np.zeros(item.mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, np.round(other.hull).astype(np.int32), 1)
    return float(np.count_nonzero(filled[item.mask]) / item.area)


def _in(item: SceneObject, other: SceneObject) -> str | None:
    part = _inside(item, other)
    return f"{part:.0%} inside" if part >= CONTAINED and item.area < other.area else None


def gap(item: SceneObject, other: SceneObject) -> float:
    """Return the distance between the boxes of two objects in pixels; 0 if they touch."""
    (x1, y1, x2, y2), (u1, v1, u2, v2) = item.box, other.box
    return math.hypot(max(u1 - x2, x1 - u2, 0.0), max(v1 - y2, y1 - v2, 0.0))


def _next_to(item: SceneObject, other: SceneObject) -> str | None:
    """The gap in the image is small, and with depth also the one along the optical axis."""
    width, height = (sum(sides) / 2 for sides in zip(item.size, other.size))
    reach = NEXT_TO_GAP * math.sqrt(width * height)
    between = gap(item, other)
    if between > reach:
        return None
    if item.point is not None and other.point is not None:
        meters = math.dist(item.point[:2], other.point[:2])
        pixels = max(math.dist(item.center, other.center), 1.0)
        if abs(item.point[2] - other.point[2]) > meters / pixels * (reach + max(*item.size, *other.size)):
            return None
    return f"gap {between:.0f} px"


def _larger(item: SceneObject, other: SceneObject) -> str | None:
    (own, theirs), _ = comparable_areas((item, other))
    return f"{own / theirs:.1f} times the area" if own > SIZE_RATIO * theirs else None


def _smaller(item: SceneObject, other: SceneObject) -> str | None:
    (own, theirs), _ = comparable_areas((item, other))
    return f"{own / theirs:.1f} times the area" if theirs > SIZE_RATIO * own else None


def _closer(item: SceneObject, other: SceneObject) -> str | None:
    own, theirs = camera_distance(item), camera_distance(other)
    return f"{own:.2f} m, the other {theirs:.2f} m" if theirs - own > DEPTH_MARGIN * (1 + own) else None


def _farther(item: SceneObject, other: SceneObject) -> str | None:
    own, theirs = camera_distance(item), camera_distance(other)
    return f"{own:.2f} m, the other {theirs:.2f} m" if own - theirs > DEPTH_MARGIN * (1 + theirs) else None


def _same_color(item: SceneObject, other: SceneObject) -> str | None:
    """The hue angles in CIE Lab agree, or both objects are gray of similar lightness."""
    if item.lab is None or other.lab is None:
        return None
    (light, *color), (other_light, *other_color) = item.lab, other.lab
    chroma, other_chroma = math.hypot(*color), math.hypot(*other_color)
    if min(chroma, other_chroma) < GRAY_CHROMA:
        both_gray = max(chroma, other_chroma) < 1.5 * GRAY_CHROMA
        return "both gray" if both_gray and abs(light - other_light) <= SAME_LIGHTNESS else None
    hues = math.degrees(math.atan2(color[1], color[0]) - math.atan2(other_color[1], other_color[0]))
    difference = abs((hues + 180) % 360 - 180)
    return f"hues differ by {difference:.0f} degrees" if difference <= SAME_HUE else None


PAIRS: dict[Relation, Callable[[SceneObject, SceneObject], str | None]] = {
    Relation.LEFT_OF: _side(0, -1),
    Relation.RIGHT_OF: _side(0, 1),
    Relation.ABOVE: _side(1, -1),
    Relation.BELOW: _side(1, 1),
    Relation.ON: _on,
    Relation.IN: _in,
    Relation.NEXT_TO: _next_to,
    Relation.IN_FRONT_OF: _closer,
    Relation.BEHIND: _farther,
    Relation.CLOSER: _closer,
    Relation.FARTHER: _farther,
    Relation.LARGER: _larger,
    Relation.SMALLER: _smaller,
    Relation.SAME_COLOR: _same_color,
    Relation.IS: lambda item, other: "it is one" if item is other else None,
}
"""Relation -> function of an object and one other object."""


def between(item: SceneObject, first: SceneObject, second: SceneObject) -> str | None:
    """Return words if an object lies near the segment between the centers of two others, and at neither end of it; else None."""
    (ax, ay), (bx, by), (x, y) = first.center, second.center, item.center
    length = math.hypot(bx - ax, by - ay)
    if length == 0:
        return None
    along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length**2
    aside = abs((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / length
    holds = BETWEEN_ENDS <= along <= 1 - BETWEEN_ENDS and aside <= BETWEEN_WIDTH * length
    return f"{along:.0%} of the way, {aside:.0f} px aside" if holds else None
