# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A sighting as a measurement in the fixed frame, and its fusion with an object by a Kalman filter of a place that stands still."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.object_map.objects import NS, MapObject, Sighting, Vector, View

LATERAL_M, LATERAL_RATIO = 0.01, 0.005
AXIAL_M, AXIAL_RATIO = 0.01, 0.01
"""Standard deviation of a sighting across and along the optical axis, at distance 0 and for each meter of distance."""
POSE_M, POSE_RATIO = 0.005, 0.005
"""Standard deviation of the pose of the camera: its position, and its rotation in radians."""
DRIFT_M2_S = 0.01**2 / 60
"""Growth of the variance of a place: one centimeter in a minute. Somebody may push the object."""
FLOOR_M2 = 0.01**2
"""Minimum variance of a place. The errors of consecutive images depend on each other, so their mean is not as good as their number."""
MAX_DRIFT_M2 = 0.05**2
SIZE_RATE = 0.2
APPEARANCE_RATE = 0.1
COVERED_RATIO = 0.8
"""A sighting that is narrower or lower than this fraction of its object is covered in part, and its center is not the object's."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """A sighting in the fixed frame.

    Attributes:
        sighting: the sighting.
        stamp_ns: time of the image, nanoseconds.
        position: float64 [3], meters.
        covariance: float64 [3, 3], square meters.
        size: extent in meters along the axes of the fixed frame.
        width, height: extent in meters across the optical axis.
    """

    sighting: Sighting
    stamp_ns: int
    position: NDArray[np.float64]
    covariance: NDArray[np.float64]
    size: Vector


def measure(sighting: Sighting, view: View) -> Measurement:
    """Transform a sighting to the fixed frame.

    Args:
        sighting: the sighting, in the optical frame.
        view: view of the camera that it comes from.
    """
    distance = float(np.linalg.norm(sighting.position))
    pose = POSE_M + POSE_RATIO * distance
    lateral, axial = LATERAL_M + LATERAL_RATIO * distance, AXIAL_M + AXIAL_RATIO * distance
    if sighting.is_cut:
        lateral += max(sighting.size[:2]) / 2
    rotation = view.pose.rotation
    covariance = rotation @ np.diag([lateral**2, lateral**2, axial**2]) @ rotation.T + np.eye(3) * pose**2
    size = np.abs(rotation) @ np.asarray(sighting.size)
    position = rotation @ sighting.position + view.pose.translation
    return Measurement(sighting, view.stamp_ns, position, covariance, (float(size[0]), float(size[1]), float(size[2])))


def fuse(item: MapObject, measurement: Measurement) -> None:
    """Update place, size, appearance, labels and times of an object by a measurement of it.

    Args:
        item: the object; changed in place.
        measurement: the measurement.
    """
    sighting, stamp_ns = measurement.sighting, measurement.stamp_ns
    seconds = max(0.0, (stamp_ns - item.last_seen_ns) / NS)
    prior = item.covariance + np.eye(3) * min(DRIFT_M2_S * seconds, MAX_DRIFT_M2)
    covariance = measurement.covariance + np.eye(3) * _hidden_part(item, measurement) ** 2
    gain = prior @ np.linalg.inv(prior + covariance)
    item.position = item.position + gain @ (measurement.position - item.position)
    item.covariance = _at_least((np.eye(3) - gain) @ prior)
    if not sighting.is_cut:
        item.size = _mixed(item.size, measurement.size)
    _note(item, measurement)


def replace_place(item: MapObject, measurement: Measurement) -> None:
    """Move an object to the place of a measurement, without regard to its old place.

    Args:
        item: the object; changed in place.
        measurement: the measurement.
    """
    item.position, item.covariance = measurement.position.copy(), _at_least(measurement.covariance)
    _note(item, measurement)


def new_object(number: int, measurement: Measurement, is_anchored: bool) -> MapObject:
    """Return an object that a measurement shows for the first time.

    Args:
        number: id of the object.
        measurement: the measurement.
        is_anchored: see `MapObject`.
    """
    sighting, stamp_ns = measurement.sighting, measurement.stamp_ns
    item = MapObject(
        number,
        sighting.label,
        measurement.position.copy(),
        _at_least(measurement.covariance),
        measurement.size,
        stamp_ns,
        stamp_ns,
        state_since_ns=stamp_ns,
        sightings=0,
        is_anchored=is_anchored,
    )
    _note(item, measurement)
    return item


def similarity(first: NDArray[np.float32] | None, second: NDArray[np.float32] | None) -> float | None:
    """Return the cosine of two appearances, 0..1. None if one of them is unknown or of another kind."""
    if first is None or second is None or first.shape != second.shape:
        return None
    return float(np.clip(first @ second, 0.0, 1.0))


def _hidden_part(item: MapObject, measurement: Measurement) -> float:
    """Return by how much the center of the visible part may differ from that of the whole object, meters."""
    known, seen = np.asarray(item.size), np.asarray(measurement.size)
    height = known[2] - seen[2] if seen[2] < COVERED_RATIO * known[2] else 0.0
    widths = np.hypot(*known[:2]), np.hypot(*seen[:2])
    width = widths[0] - widths[1] if widths[1] < COVERED_RATIO * widths[0] else 0.0
    return float(max(height, width)) / 2


def _mixed(old: Vector, new: Vector) -> Vector:
    mixed = np.asarray(old) * (1 - SIZE_RATE) + np.asarray(new) * SIZE_RATE
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def _at_least(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a covariance whose variances are at least `FLOOR_M2` along each of its axes."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    limited: NDArray[np.float64] = vectors @ np.diag(np.maximum(values, FLOOR_M2)) @ vectors.T
    return limited


def _note(item: MapObject, measurement: Measurement) -> None:
    sighting, stamp_ns = measurement.sighting, measurement.stamp_ns
    item.last_seen_ns = max(item.last_seen_ns, stamp_ns)
    item.sightings += 1
    item.score = sighting.score
    item.labels[sighting.label] += 1
    item.label = max(item.labels, key=lambda label: (item.labels[label], label == item.label))
    item.tracks.pop(sighting.track, None)
    item.tracks[sighting.track] = stamp_ns
    if sighting.appearance is not None:
        if similarity(item.appearance, sighting.appearance) is None:
            item.appearance = sighting.appearance.copy()
        elif item.appearance is not None and not sighting.is_cut:
            mixed = item.appearance * (1 - APPEARANCE_RATE) + sighting.appearance * APPEARANCE_RATE
            item.appearance = (mixed / np.linalg.norm(mixed)).astype(np.float32)
