# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Association of sightings with objects, one to one, by place, label, appearance and recent track.

The id of a track is a hint only: trackers change ids, and exchange those of two objects that cross.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lang2segtrack_ros.object_map.measurement import Measurement, similarity
from lang2segtrack_ros.object_map.objects import NS, MapObject
from lang2segtrack_ros.object_map.table import ObjectTable

HINT_S = 1.0
"""A track is a hint for an object that it showed within this time."""
HINT_COST = 0.1
MAX_SPEED = 1.5
"""Maximum speed in meters per second of an object that somebody moves in view."""
UNLIKE = 0.3
"""Appearances with a lower similarity do not belong to one object, even at one place."""
UNKNOWN_COST = 0.25
ALIKE = 0.85
SAME_PLACE_M = 0.1
OTHER_LABEL_COST = 0.5
"""A sighting with another label is the object if it has this appearance at this place: detectors and trackers change labels, too."""
_FORBIDDEN = 1e6


@dataclass(frozen=True)
class Gate:
    """Limits of the association.

    Attributes:
        distance: maximum distance between an object and its sighting, meters. Their uncertainty adds to it.
        follows: returns True for an object that may move from image to image, as long as one track shows it.
    """

    distance: float
    follows: Callable[[MapObject], bool]


def associate(measurements: Sequence[Measurement], table: ObjectTable, gate: Gate) -> dict[int, MapObject]:
    """Assign objects to measurements, one to one, at the lowest sum of costs.

    The cost of a pair is its squared distance in gates, plus the difference of the appearances, minus a small bonus for a recent track.

    Args:
        measurements: sightings of one image in the fixed frame.
        table: objects.
        gate: limits.

    Returns:
        The objects by the index of their measurement. Measurements without an object are left out.
    """
    candidates: dict[int, MapObject] = {}
    for measurement in measurements:
        reach = _reach(measurement) + gate.distance
        for item in table.at_rows(table.near(measurement.position, reach + MAX_SPEED * HINT_S)):
            candidates[item.id] = item
    if not candidates:
        return {}
    items = list(candidates.values())
    costs = np.array([[_cost(measurement, item, gate) for item in items] for measurement in measurements])
    rows, columns = linear_sum_assignment(costs)
    return {int(row): items[column] for row, column in zip(rows, columns) if costs[row, column] < _FORBIDDEN}


def is_duplicate(item: MapObject, other: MapObject) -> bool:
    """Return True if two objects lie at one place and look alike. Without colors, they must have one label.

    Their distance must be below half of the smaller one, so two small things side by side stay two.
    """
    limit = min(SAME_PLACE_M, item.radius, other.radius)
    if np.linalg.norm(item.position - other.position) > limit:
        return False
    likeness = similarity(item.appearance, other.appearance)
    return item.label == other.label if likeness is None else likeness >= ALIKE


def has_hint(measurement: Measurement, item: MapObject, seconds: float = HINT_S) -> bool:
    """Return True if the track of a measurement showed an object within some seconds before."""
    seen_ns = item.tracks.get(measurement.sighting.track)
    return seen_ns is not None and abs(measurement.stamp_ns - seen_ns) <= seconds * NS


def _reach(measurement: Measurement) -> float:
    return 2 * float(np.sqrt(np.trace(measurement.covariance) / 3))


def _cost(measurement: Measurement, item: MapObject, gate: Gate) -> float:
    is_hinted = has_hint(measurement, item)
    spread = float(np.sqrt(np.trace(item.covariance) / 3))
    reach = gate.distance + _reach(measurement) + 2 * spread
    if is_hinted and gate.follows(item):
        reach += MAX_SPEED * max(0.0, (measurement.stamp_ns - item.last_seen_ns) / NS)
    distance = float(np.linalg.norm(measurement.position - item.position))
    if distance > reach:
        return _FORBIDDEN
    likeness = similarity(measurement.sighting.appearance, item.appearance)
    if likeness is not None and likeness < UNLIKE and not is_hinted:
        return _FORBIDDEN
    cost = (distance / gate.distance) ** 2 + (UNKNOWN_COST if likeness is None else 1 - likeness) - HINT_COST * is_hinted
    if item.label == measurement.sighting.label:
        return cost
    is_alike = likeness is not None and likeness >= ALIKE and distance <= SAME_PLACE_M
    return cost + OTHER_LABEL_COST if is_alike or is_hinted else _FORBIDDEN


def closest_in_appearance(
    appearance: NDArray[np.float32] | None, candidates: Sequence[MapObject], least: float, position: NDArray[np.float64]
) -> MapObject | None:
    """Return the candidate that resembles an appearance most. The nearer one of two alike candidates. None if no candidate resembles it.

    Args:
        appearance: float32 [K] of unit length; None is similar to everything.
        candidates: objects.
        least: minimum similarity, 0..1.
        position: float64 [3], meters.
    """
    best: tuple[float, float] | None = None
    chosen = None
    for item in candidates:
        likeness = similarity(appearance, item.appearance)
        if likeness is not None and likeness < least:
            continue
        rank = (round(1.0 if likeness is None else likeness, 1), -float(np.linalg.norm(position - item.position)))
        if best is None or rank > best:
            best, chosen = rank, item
    return chosen
