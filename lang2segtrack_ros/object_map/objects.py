# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The data of the object map: objects, sightings, and the view of a camera. Positions are in the fixed frame, in meters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.geometry.alignment import RigidTransform
from lang2segtrack_ros.types.frame import CameraModel

Vector = tuple[float, float, float]
NS = 1_000_000_000


class MapError(ValueError):
    """A request or a value that the object map refuses. The message names the fault."""


class ObjectState(IntEnum):
    """The state of an object of the map. The values equal the constants of lang2segtrack/msg/MapObject."""

    VISIBLE = 0
    REMEMBERED = 1
    MOVED = 2
    MISSING = 3


@dataclass(frozen=True)
class TrackReference:
    """A track that showed an object.

    Attributes:
        source: name of the tracker; each tracker numbers its tracks by itself.
        track_id: id of the track.
    """

    source: str
    track_id: int


@dataclass(frozen=True, eq=False)
class Sighting:
    """One object on one image, measured in space.

    Attributes:
        track: track that shows it.
        label: phrase of the prompt.
        position: float64 [3], center of the visible surface in the optical frame of the camera, meters.
        size: extent of the visible surface along the axes of the optical frame (x right, y down, z forward), meters.
        score: confidence of the mask, 0..1.
        appearance: float32 [K] of unit length, or None. See `identity.appearance`.
        is_cut: True if the border of the image cuts the object, so that its center is not seen.
        thumbnail: JPEG file, or empty.
    """

    track: TrackReference
    label: str
    position: NDArray[np.float64]
    size: Vector
    score: float = 1.0
    appearance: NDArray[np.float32] | None = None
    is_cut: bool = False
    thumbnail: bytes = b""


@dataclass(frozen=True, eq=False)
class View:
    """The view of a camera at the time of an image.

    Attributes:
        stamp_ns: time of the image in nanoseconds.
        pose: transform from the optical frame of the camera to the fixed frame.
        camera: camera model of the image.
        depth: float32 [h, w] in meters along the optical axis, NaN where unknown. Registered to the camera. None without depth.
        source: name of the tracker that processed the image.
    """

    stamp_ns: int
    pose: RigidTransform
    camera: CameraModel
    depth: NDArray[np.float32] | None = None
    source: str = ""


@dataclass
class MapObject:
    """One object of the map.

    Attributes:
        id: id in the map, > 0. It is never reused.
        label: the most frequent label of its sightings.
        position: float64 [3], meters.
        covariance: float64 [3, 3] of the position, square meters.
        size: extent in meters: two horizontal axes and the height.
        first_seen_ns: time of the first sighting, nanoseconds.
        last_seen_ns: time of the latest sighting, nanoseconds.
        state: see `ObjectState`.
        state_since_ns: start of the state. MISSING: time of the first image without the object.
        name: name given by the user; empty without one.
        moved_at_ns: last time at which the object was found at another place. 0: never.
        sightings: number of images that showed it.
        score: confidence of the latest mask, 0..1.
        appearance: running mean of the appearances, float32 [K] of unit length. None without color.
        tracks: tracks that showed it, with the time of the latest sighting in each; the latest last.
        labels: number of sightings with each label.
        is_anchored: True if the position moves with corrections of the fixed frame, see `ObjectMap.apply_correction`.
    """

    id: int
    label: str
    position: NDArray[np.float64]
    covariance: NDArray[np.float64]
    size: Vector
    first_seen_ns: int
    last_seen_ns: int
    state: ObjectState = ObjectState.VISIBLE
    state_since_ns: int = 0
    name: str = ""
    moved_at_ns: int = 0
    sightings: int = 1
    score: float = 1.0
    appearance: NDArray[np.float32] | None = None
    tracks: dict[TrackReference, int] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)
    is_anchored: bool = False

    @property
    def radius(self) -> float:
        """Half of the largest side, meters."""
        return max(self.size) / 2
