# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The state of one object on the host, as an immutable value. Each fact about an object has its only owner here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from lang2segtrack_ros.identity.appearance import Appearance
from lang2segtrack_ros.identity.feature_appearance import FeatureModel
from lang2segtrack_ros.identity.object_model import ObjectModel
from lang2segtrack_ros.identity.shape import ShapeModel
from lang2segtrack_ros.types.rle import Box

Tracks = Mapping[int, "TrackState"]
"""The states of all objects by id."""
Pair = tuple[int, int]
"""The ids of two objects, the older one first."""


class Origin(Enum):
    """The source of an object."""

    PROMPT = "prompt"
    """A box, points, a mask, or a text prompt with a single detection. Later detections count no hits or misses for the object."""
    DETECTION = "detection"
    """A continuous text prompt. Each detection counts a hit or a miss for the object."""


class Verification(IntEnum):
    """The certainty that a track still shows its object."""

    VERIFIED = 0
    NEEDS_REID = 1
    """The object is hidden until its mask resembles it, or until the detector finds it again."""
    NEEDS_CLOSE_REID = 2
    """As NEEDS_REID, but the mask must resemble the object in shape and size too, because the scene has changed."""
    NEEDS_REDETECTION = 3
    """The object is hidden until the detector finds it again. Its appearance is not enough."""


@dataclass(frozen=True, eq=False)
class TrackState:
    """The state of one object.

    Attributes:
        id: id of the object, > 0.
        label: name of the object.
        origin: source of the object.
        confirmed: False while the object is tentative.
        hits: number of detections of the object.
        misses: number of consecutive missed detections.
        loose_fits: number of consecutive detections that fit the box of the track loosely.
        dissimilar_frames: number of consecutive frames on which the appearance differed from the model.
        unseen_ns: time since the object was last visible or verified, in nanoseconds.
        verification: certainty that the track still shows the object.
        detected_box: box of the last detection in pixels. None without a detection.
        clicked: pixels (x, y) on the object in the last point prompt for it.
        waiting_since: frame on which the object first waited for a whole mask; see `look_alikes`. None if it does not wait.
        appearance: running mean of the color histogram. None before the first reliable mask.
        features: model of the features and the geometry. None before the first reliable mask, or without such models.
        shape: model of the shape. None before the first reliable mask.
        model: color and motion of the object while it was alone. None before the first such frame.
    """

    id: int
    label: str
    origin: Origin
    confirmed: bool
    hits: int = 1
    misses: int = 0
    loose_fits: int = 0
    dissimilar_frames: int = 0
    unseen_ns: int = 0
    verification: Verification = Verification.VERIFIED
    detected_box: Box | None = None
    clicked: frozenset[tuple[int, int]] = frozenset()
    waiting_since: int | None = None
    appearance: Appearance | None = None
    features: FeatureModel | None = None
    shape: ShapeModel | None = None
    model: ObjectModel | None = None

    def verified(self) -> TrackState:
        """Return the state after the user, the detector or the appearance has shown the position of the object."""
        return replace(self, verification=Verification.VERIFIED, unseen_ns=0, misses=0, waiting_since=None)

    def requiring(self, verification: Verification) -> TrackState:
        """Return the state with at least this need of verification."""
        return replace(self, verification=max(self.verification, verification))

    def waiting(self, index: int) -> TrackState:
        """Return the state of an object that waits for a whole mask on a frame."""
        return self if self.waiting_since is not None else replace(self, waiting_since=index)

    @property
    def detected_area(self) -> float | None:
        """Return the area of the box of the last detection in square pixels. None without a detection."""
        if self.detected_box is None:
            return None
        x_min, y_min, x_max, y_max = self.detected_box
        return (x_max - x_min) * (y_max - y_min)

    @property
    def is_detected(self) -> bool:
        """Return True if detections count hits and misses for the object."""
        return self.origin is Origin.DETECTION
