# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output of the engine: the state of every object on one image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.types.events import InstructionEvent
from lang2segtrack_ros.types.rle import Box, Rle


class TrackStatus(IntEnum):
    """The state of an object in its life cycle. The values equal the constants of lang2segtrack/msg/Track."""

    TENTATIVE = 0
    TRACKED = 1
    OCCLUDED = 2
    LOST = 3
    REMOVED = 4


class Source(str, Enum):
    """The pass over the images that produced a mask."""

    FORWARD = "forward"
    BACKWARD = "backward"
    """The backward pass produced the mask, on an image before the first prompt for the object."""
    MERGED = "merged"
    """The backward pass produced the mask, because the forward pass had lost the object or was uncertain."""


@dataclass(frozen=True, eq=False)
class Track:
    """One object on one image.

    Attributes:
        id: id of the object, > 0. It stays the same for the whole life of the object.
        label: phrase or name of the prompt.
        state: state in the life cycle.
        score: confidence of the mask, 0..1: the predicted IoU. 0 if the object is not visible.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima. None if the object is not visible.
        mask: bool [H, W].
        predicted_iou: IoU of the mask as estimated by the network, 0..1.
        object_score: logit of visibility. SAM 2 shows an object above 0; see `Policy.visible_above`.
        motion_score: IoU between the box of the mask and the box predicted by the motion model, 0..1. NaN if there is no prediction.
        stable_frames: number of consecutive frames with a stable motion model.
        frames_since_seen: number of frames since the object was visible. 0 if it is visible on this image.
        source: pass that produced the mask. Results of a live stream are always FORWARD.
        agreement: IoU of the masks of both passes, 0..1. NaN if only one pass shows the object, or without a backward pass.
        confidence: confidence of a merged trace, 0..1; see `history.merge_frame`. NaN if hidden, or without a backward pass.
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
    agreement: float = float("nan")
    confidence: float = float("nan")

    def __repr__(self) -> str:
        """Return a short text. The mask would fill pages."""
        box = "hidden" if self.box is None else f"box=({', '.join(f'{value:g}' for value in self.box)})"
        return f"Track({self.id}, {self.label!r}, {self.state.name}, score={self.score:.2f}, {box})"

    @cached_property
    def rle(self) -> Rle:
        """Return the run-length encoded mask."""
        return Rle.encode(self.mask, self.box)

    def as_removed(self) -> Track:
        """Return the last appearance of the track in a result: removed and without a mask."""
        return replace(self, state=TrackStatus.REMOVED, score=0.0, box=None, mask=np.zeros_like(self.mask))


@dataclass(frozen=True, eq=False)
class FrameResult:
    """The result of the engine for one image.

    Attributes:
        stamp_ns: timestamp of the image in nanoseconds.
        index: number of the image since the start or the last reset of the session, from 0.
        height, width: size of the image and of all masks in pixels.
        tracks: all objects in order of their ids. An object that was removed since the previous image appears once more, as REMOVED.
        detections: number of boxes from the detector that reached this image. None if no detection result arrived.
        prompted: ids of the objects that a prompt started or corrected, or that a detection started, on this image.
        events: what instructions have changed since the previous image.
        by_id: the tracks by id.
    """

    stamp_ns: int
    index: int
    height: int
    width: int
    tracks: tuple[Track, ...] = ()
    detections: int | None = None
    prompted: tuple[int, ...] = ()
    events: tuple[InstructionEvent, ...] = ()
    by_id: dict[int, Track] = field(init=False, repr=False)

    def __repr__(self) -> str:
        """Return a short text."""
        return f"FrameResult({self.index}, {self.width} x {self.height}, stamp_ns={self.stamp_ns}, tracks={list(self.tracks)})"

    @property
    def announced(self) -> tuple[Track, ...]:
        """Return the tracks except the tentative ones, which are not confirmed yet."""
        return tuple(track for track in self.tracks if track.state is not TrackStatus.TENTATIVE)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_id", {track.id: track for track in self.tracks})
