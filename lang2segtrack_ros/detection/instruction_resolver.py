# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of resolvers: they choose the objects on an image that an instruction means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection
from lang2segtrack_ros.types.frame import CameraModel
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.results import Track
from lang2segtrack_ros.types.rle import Box

SAME_OBJECT_IOU = 0.5
"""IoU from which a box of an answer or of a detection, and the box of a track, are one object."""


@dataclass(frozen=True, eq=False)
class InstructionRequest:
    """A request to choose the objects on one image that an instruction means.

    Attributes:
        frame_index: index of the frame.
        color: uint8 [H, W, 3], RGB.
        prompt: the instruction.
        tracks: the visible tracks on the image.
        chosen: ids of the tracks that the latest answer to this instruction chose. Not empty if the instruction is checked again.
        depth: float32 [H, W] in meters, aligned to the image. None without depth.
        camera: camera model of the image. None without calibration.
        max_objects: maximum number of chosen objects.
    """

    frame_index: int
    color: NDArray[np.uint8]
    prompt: InstructionPrompt
    tracks: tuple[Track, ...] = ()
    chosen: frozenset[int] = frozenset()
    depth: NDArray[np.float32] | None = None
    camera: CameraModel | None = None
    max_objects: int = 32


@dataclass(frozen=True, eq=False)
class InstructionResult:
    """The answer to an instruction request.

    Attributes:
        request: the request.
        detections: the chosen objects. A label is the name of the object. The box of a chosen track is the box of the track.
        judged: boxes of all objects among which the resolver chose, with those of the chosen ones. A track with none of these boxes was not
            judged, for example because the detector missed it.
        plan: what the resolver looked for, a line for each target.
        reasons: one sentence for each of `detections`, why it was chosen.
        missing: one sentence for each target that was not found, or not as often as asked for.
        notes: further sentences for the user.
        error: the exception of the resolver. None after success.
        seconds: time for the answer in seconds.
    """

    request: InstructionRequest
    detections: tuple[Detection, ...] = ()
    judged: tuple[Box, ...] = ()
    plan: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: Exception | None = None
    seconds: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Return True if each target has all its objects."""
        return bool(self.detections) and not self.missing

    def lines(self) -> list[str]:
        """Return the plan, the choices with their reasons, and what is missing, a line each."""
        boxes = [",".join(f"{edge:.0f}" for edge in item.box) for item in self.detections]
        return [
            *self.plan,
            *(f"chosen: {item.label} ({box}): {reason}" for item, box, reason in zip(self.detections, boxes, self.reasons)),
            *(f"not found: {text}" for text in self.missing),
            *(f"note: {text}" for text in self.notes),
        ]


class InstructionResolver(Protocol):
    """Something that chooses the objects on an image that an instruction means.

    A resolver runs on a thread of its own, with one request at a time. `check`, `close` and `metrics` may be called from any thread.

    Attributes:
        name: name of the resolver for messages.
    """

    name: str

    def check(self, prompt: InstructionPrompt) -> list[str]:
        """Return sentences for the user on an instruction, quickly. The image is not known yet.

        Args:
            prompt: the instruction.

        Raises:
            PromptError: the resolver cannot answer the instruction on any image.
        """
        ...

    def resolve(self, request: InstructionRequest) -> InstructionResult:
        """Return the answer to a request. `error` and `seconds` stay at their defaults.

        Args:
            request: the request.

        Raises:
            PromptError: the instruction has no answer on this image, such as several objects where one is meant.
            Exception: the resolver failed, such as a server that does not answer. The message says what to do.
        """
        ...

    def close(self) -> None:
        """End a running request within a second, and refuse further ones."""
        ...

    def metrics(self) -> dict[str, object]:
        """Return counters by name, for diagnostics."""
        ...
