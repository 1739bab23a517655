# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A detection request that the detector is processing."""

from __future__ import annotations

from dataclasses import dataclass

from lang2segtrack_ros.detection.worker import DetectionResult
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.prompt_handle import PromptHandle
from lang2segtrack_ros.types.results import Track


@dataclass(eq=False)
class PendingDetection:
    """A detection request in progress, and the data to match its result with the present.

    Attributes:
        tracks: the tracks on the frame of the request.
        handles: handles of the prompts that wait for the result.
        features: frame index, image features, height and width in pixels for the frame of the request and the frames since then.
        result: the result of the detector. None until it arrives.
        failures: number of failed frames that already had the result.
    """

    tracks: list[Track]
    handles: list[PromptHandle]
    features: list[tuple[int, ImageFeatures, int, int]]
    result: DetectionResult | None = None
    failures: int = 0
