# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a detector is, and the settling of its duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

SAME_PHRASE_IOU = 0.5
"""Boxes of one phrase that overlap more are one object."""
OTHER_PHRASE_IOU = 0.8
"""Boxes of different phrases that overlap more are one object; the better score names it."""


@dataclass(frozen=True)
class Detection:
    """One object found: its label (one of the phrases asked for), score 0..1, and box in pixels, maxima exclusive."""

    label: str
    score: float
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """Finds objects by name."""

    name: str
    default_threshold: float

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Words of the phrases that the detector does not know. Raises PromptError when it cannot take the phrases."""
        ...

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Objects on an RGB uint8 [H, W, 3] image that score at least their phrase's threshold, best first."""
        ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that looks at several images at once."""

    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """As `detect`, for each image."""
        ...


@runtime_checkable
class ShrinkingDetector(Detector, Protocol):
    """A detector that can do with less memory."""

    def shrunk(self) -> Detector | None:
        """The same network on smaller images, None when there is nothing left to save; this one is left as it is."""
        ...


def detect_batch(
    detector: Detector, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
) -> list[list[Detection]]:
    """Detections on each image, in one go where the detector can, else one after the other."""
    if isinstance(detector, BatchDetector):
        return detector.detect_batch(colors, phrases, thresholds)
    return [detector.detect(color, phrases, thresholds) for color in colors]


def vocabulary_notes(detector: Detector, phrases: Sequence[str]) -> list[str]:
    """A sentence for the user about words that the detector does not know, if there are any. Raises PromptError as `check`."""
    unknown = detector.check(phrases)
    return [f"the detector does not know: {', '.join(unknown)}; what it finds for these words means little"] if unknown else []


def suppress_duplicates(detections: Sequence[Detection]) -> list[Detection]:
    """Keeps one detection of each object, best score first: non-maximum suppression within a phrase, then across phrases."""

    def suppressed(items: list[Detection], iou: float) -> list[Detection]:
        boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (item.box for item in items)]
        kept = cv2.dnn.NMSBoxes(boxes, [item.score for item in items], 0.0, iou)
        return [items[int(index)] for index in np.asarray(kept).ravel()]

    by_label: dict[str, list[Detection]] = {}
    for item in detections:
        by_label.setdefault(item.label, []).append(item)
    left = [item for items in by_label.values() for item in suppressed(items, SAME_PHRASE_IOU)]
    return sorted(suppressed(left, OTHER_PHRASE_IOU) if left else [], key=lambda item: -item.score)
