# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of a backward pass to the engine that runs on its reversed frames; see `session.reverse`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import Track


@dataclass(frozen=True, eq=False)
class Start:
    """An object that starts on a frame of the sweep, or starts anew there.

    Attributes:
        track_id: id of the object.
        label: name of the object.
        mask: bool [H, W], its mask in the forward pass.
        trajectory: index of the frame in the sweep and box center (x, y) in pixels, on the frames before in the sweep.
    """

    track_id: int
    label: str
    mask: NDArray[np.bool_]
    trajectory: tuple[tuple[int, float, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Seen:
    """An object on a frame of the sweep.

    Attributes:
        track: the object, visible or not.
        is_detected: True if a detection on this frame confirms it.
        is_uncertain: True if its mask may show something else than its object.
        unverified: the track with its mask, if the verification has hidden it although its colors resemble the object. Else None.
    """

    track: Track
    is_detected: bool
    is_uncertain: bool
    unverified: Track | None = None


class ReverseTracker(Protocol):
    """An engine that tracks objects on frames in reverse order."""

    @property
    def ids(self) -> Collection[int]:
        """Return the ids of the objects of the sweep."""
        ...

    def encode(self, frame: Frame) -> ImageFeatures:
        """Run the image encoder on a frame."""
        ...

    def step(self, index: int, frame: Frame, features: ImageFeatures, starts: Sequence[Start]) -> list[Seen]:
        """Process the next older frame.

        Args:
            index: index of the frame in the sweep. It rises from call to call.
            frame: the frame.
            features: the encoded image.
            starts: objects that start on this frame.
        """
        ...

    def similarity(self, track: Track) -> float:
        """Return how similar the mask of a track on the latest frame is to its object, 0..1."""
        ...

    def require_verification(self, track_ids: Collection[int]) -> None:
        """Require the verification of objects whose tracks are on other objects."""
        ...

    def clear(self) -> None:
        """End all objects, because the next frame is not the next older one."""
        ...
