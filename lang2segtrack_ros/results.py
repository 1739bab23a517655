# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The output of the engine: what is known of every object on one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Box = tuple[float, float, float, float]


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


def mask_box(mask: NDArray[np.bool_]) -> Box | None:
    """The box (x_min, y_min, x_max, y_max), maxima exclusive, around a bool [H, W] mask; None when it is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (float(x), float(y), float(x + width), float(y + height)) if width else None


@dataclass(frozen=True)
class Rle:
    """A mask in COCO's compressed run-length encoding.

    Attributes:
        height, width: size of the mask in pixels.
        counts: the runs, column by column, as pycocotools writes them.
    """

    height: int
    width: int
    counts: str

    @staticmethod
    def encode(mask: NDArray[np.bool_], box: Box | None = None) -> Rle:
        """Encodes a bool [H, W] mask; `box` is the box around it where that is known.

        The runs are found here and only written by pycocotools, whose encoder looks at every pixel of the image: twice as fast.
        """
        height, width = mask.shape
        x, y, end_x, end_y = map(int, box or mask_box(np.ascontiguousarray(mask)) or (0, 0, 0, 0))  # elsewhere there is nothing to look at
        columns, lines = end_x - x, end_y - y
        stride = lines + (lines < height)  # a pixel more, so that runs end with the box; where it is as high as the image, they go on
        pixels = np.zeros(columns * stride + 2, np.uint8)  # one more at each end, where the mask is over
        if columns:
            part = cv2.transpose(np.ascontiguousarray(mask[y:end_y, x:end_x]).view(np.uint8))
            pixels[1:-1].reshape(columns, stride)[:, :lines] = part
        column, line = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), stride)
        changes = (x + column) * height + y + line
        runs = np.diff(changes, prepend=0, append=height * width).tolist()
        if len(runs) > 1 and not runs[-1]:  # nothing comes after the last corner
            runs.pop()
        coded = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        return Rle(int(height), int(width), coded["counts"].decode("ascii"))

    def decode(self) -> NDArray[np.bool_]:
        """The bool [H, W] mask."""
        pixels: NDArray[np.uint8] = coco_mask.decode({"size": [self.height, self.width], "counts": self.counts.encode("ascii")})
        return pixels.astype(bool)


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
        mask_logits_low: float32 [h, w], the network's mask logits at stride 4 of its own input, for study.
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
    mask_logits_low: NDArray[np.float32]
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
