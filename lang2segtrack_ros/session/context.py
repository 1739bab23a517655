# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The view that the stages have of a frame. It changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.tracking.open_frame import PromptPrediction
from lang2segtrack_ros.types.prompts import ObjectPrompt
from lang2segtrack_ros.types.results import Track


class MaskPredictor(Protocol):
    """The part of `OpenFrame` that predicts masks of prompts. It has no effect on the frame."""

    def predict(self, prompt: ObjectPrompt) -> PromptPrediction:
        """Predict the mask of a prompt; see `OpenFrame.predict`."""
        ...

    def clip_to_box(self, predicted: PromptPrediction, margin: float) -> PromptPrediction:
        """Return a prediction clipped to its box prompt; see `OpenFrame.clip_to_box`."""
        ...

    def mask_of(self, predicted: PromptPrediction) -> NDArray[np.bool_]:
        """Return the mask of a prediction as bool [H, W]."""
        ...

    def pool(self, masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
        """Pool the features of the image under masks; see `feature_pooling.pool_masks`."""
        ...


@dataclass(frozen=True, eq=False)
class FrameContext:
    """A frame between two stages.

    Attributes:
        index: frame number.
        color: the image, uint8 [H, W, 3], RGB.
        elapsed_ns: time since the previous frame in nanoseconds.
        tracks: all objects with their present masks, in ascending order of ids.
        options: options of the session.
        masks: predictor of masks on this frame.
        detection: detections on this frame. None without any.
        prompted: ids of the objects that a prompt of the user started or corrected on this frame.
        allows_new: False if detections start no objects.
    """

    index: int
    color: NDArray[np.uint8]
    elapsed_ns: int
    tracks: tuple[Track, ...]
    options: SessionOptions
    masks: MaskPredictor
    detection: DetectionResult | None = None
    prompted: frozenset[int] = frozenset()
    allows_new: bool = True

    @cached_property
    def visible(self) -> Mapping[int, Track]:
        """Return the visible tracks by id."""
        return {track.id: track for track in self.tracks if track.box is not None}
