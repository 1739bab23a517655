# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A request that the detector, or the resolver of instructions, is processing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResult
from lang2segtrack_ros.detection.worker import DetectionRequest, DetectionResult
from lang2segtrack_ros.segmentation.sam2 import ImageFeatures
from lang2segtrack_ros.types.results import Track

Request = TypeVar("Request")
Result = TypeVar("Result")
MAX_CACHED_FRAMES = 32
"""Maximum number of frames whose features are cached for catching up. Above it, every second frame is dropped."""


@dataclass(frozen=True, eq=False)
class CachedFrame:
    """The features of one frame.

    Attributes:
        index: frame number.
        features: the encoded image.
        height, width: size of the image in pixels.
    """

    index: int
    features: ImageFeatures
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Pending(Generic[Request, Result]):
    """A request in progress, and the data to match its result with the present.

    Attributes:
        request: the request.
        tracks: the tracks on the frame of the request.
        frames: the frame of the request and the frames since then.
        result: the result. None until it arrives.
        failures: number of failed frames that already had the result.
    """

    request: Request
    tracks: tuple[Track, ...]
    frames: tuple[CachedFrame, ...]
    result: Result | None = None
    failures: int = 0

    def with_frame(self, frame: CachedFrame) -> Pending[Request, Result]:
        """Return the pending request with one more frame. Above `MAX_CACHED_FRAMES`, it keeps every second frame."""
        frames = (*self.frames, frame)
        if len(frames) > MAX_CACHED_FRAMES:
            frames = (frames[0], *frames[2:-1:2], frames[-1])
        return replace(self, frames=frames)

    def fits(self, size: tuple[int, int] | None) -> bool:
        """Return True if the frame of the request has a size, height and width in pixels."""
        return (self.frames[0].height, self.frames[0].width) == size


PendingDetection = Pending[DetectionRequest, DetectionResult]
PendingInstruction = Pending[InstructionRequest, InstructionResult]
