# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A question that the detector is working on."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.results import Track


@dataclass(eq=False)
class PendingDetection:
    """A question the detector is working on.

    Attributes:
        tracks: as they were on the frame it was asked on.
        handles: prompts that it shall answer.
        features: since then: frame index, encoded image, height and width in pixels.
        answer: once it has come.
        failures: how often a frame failed that had the answer.
    """

    tracks: list[Track]
    handles: list[PromptHandle]
    features: list[tuple[int, ImageFeatures, int, int]]
    result: DetectionResult | None = None
    failures: int = 0
