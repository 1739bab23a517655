# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output of the engine: what is known of every object on one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.rle import Box, Rle


class TrackStatus(IntEnum):
    """Where an object is in its life; the numbers are those of lang2segtrack/msg/Track."""

    TENTATIVE = 0
    TRACKED = 1
    OCCLUDED = 2
    LOST = 3
    REMOVED = 4


class Source(str, Enum):
    """Which pass over the images an object's mask comes from."""

    FORWARD = "forward"
    BACKWARD = "backward"
    """From the backward pass, on an image before the one it was first prompted on."""
    MERGED = "merged"
    """From the backward pass, where the forward pass had lost the object or was not sure of it."""


@dataclass(frozen=True, eq=False)
class Track:
    """One object on one image.

    Attributes:
        id: > 0, stable for the object's life.
        label: the phrase or name it was prompted with.
        state: its place in the life cycle.
        score: 0..1, how sure the tracker is of the mask: predicted IoU, 0 when nothing is visible.
        box: (x_min, y_min, x_max, y_max) in pixels, maxima exclusive; None when nothing is visible.
        mask: bool [H, W].
        predicted_iou: 0..1, the network's own guess of the mask's IoU.
        object_score: logit; > 0 means visible.
        motion_score: 0..1, IoU of the mask's box with the motion model's prediction; NaN while there is none.
        stable_frames: frames for which the motion model has been steady.
        frames_since_seen: 0 when visible on this image.
        source: which pass the mask comes from; a stream's own results are all FORWARD.
    """

    id: int
    label: str
    state: TrackStatus
    score: float
    box: Box | None
    mask: NDArray[np.bool_]
    predicted_iou: float
    object_score: float
    motion_score: float
    stable_frames: int
    frames_since_seen: int = 0
    source: Source = Source.FORWARD

    @cached_property
    def rle(self) -> Rle:
        """The mask, run-length encoded."""
        return Rle.encode(self.mask, self.box)


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What the engine knows after one image.

    Attributes:
        stamp_ns: the image's time.
        index: number of the image since the session began or was reset, from 0.
        height, width: size of the image and of all masks.
        tracks: every living object, by rising id, and once each that was removed since the last image.
        detections: number of boxes the detector contributed to this image, None when none were due.
        prompted: ids of the objects that a prompt started or corrected, or a detection started, on this image.
    """

    stamp_ns: int
    index: int
    height: int
    width: int
    tracks: tuple[Track, ...] = ()
    detections: int | None = None
    prompted: tuple[int, ...] = ()
    by_id: dict[int, Track] = field(init=False, repr=False)

    @property
    def announced(self) -> tuple[Track, ...]:
        """The tracks without those that are not confirmed yet."""
        return tuple(track for track in self.tracks if track.state is not TrackStatus.TENTATIVE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {track.id: track for track in self.tracks})
