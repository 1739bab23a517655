# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of detectors, and the suppression of duplicate detections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

SAME_PHRASE_IOU = 0.5
"""IoU above which two boxes of the same phrase count as one object."""
OTHER_PHRASE_IOU = 0.8
"""IoU above which two boxes of different phrases count as one object. The phrase with the higher score becomes the label."""


@dataclass(frozen=True)
class Detection:
    """One detected object.

    Attributes:
        label: one of the requested phrases.
        score: confidence of the detector, 0..1.
        box: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]


class Detector(Protocol):
    """A network that finds objects by name.

    Attributes:
        name: name of the detector for messages.
        default_threshold: minimum score of a detection if a prompt gives none, 0..1.
    """

    name: str
    default_threshold: float

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return the words that the detector does not know.

        Args:
            phrases: the phrases of the text prompts.

        Raises:
            PromptError: the detector cannot process these phrases.
        """
        ...

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the objects on one image, in order of falling score.

        Args:
            color: uint8 [H, W, 3], RGB.
            phrases: names of the objects.
            thresholds: minimum score for each phrase, 0..1.
        """
        ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that processes several images in one batch."""

    def detect_batch(
        self, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
    ) -> list[list[Detection]]:
        """Return the detections for each image; see `Detector.detect`."""
        ...


@runtime_checkable
class ShrinkingDetector(Detector, Protocol):
    """A detector that can reduce its memory use."""

    def shrunk(self) -> Detector | None:
        """Return the same network on smaller images, or None at the smallest size. Leave this detector unchanged."""
        ...


def detect_batch(
    detector: Detector, colors: Sequence[NDArray[np.uint8]], phrases: Sequence[str], thresholds: Sequence[float]
) -> list[list[Detection]]:
    """Return the detections on each image, in one batch if the detector supports it.

    Args:
        detector: any detector.
        colors: uint8 [H, W, 3] images, RGB.
        phrases: names of the objects.
        thresholds: minimum score for each phrase, 0..1.
    """
    if isinstance(detector, BatchDetector):
        return detector.detect_batch(colors, phrases, thresholds)
    return [detector.detect(color, phrases, thresholds) for color in colors]


def vocabulary_notes(detector: Detector, phrases: Sequence[str]) -> list[str]:
    """Return a sentence for the user if the detector does not know some words.

    Args:
        detector: any detector.
        phrases: the phrases of a text prompt.

    Raises:
        PromptError: see `Detector.check`.
    """
    unknown = detector.check(phrases)
    return [f"the detector does not know: {', '.join(unknown)}; detections for these words are unreliable"] if unknown else []


def suppress_duplicates(detections: Sequence[Detection]) -> list[Detection]:
    """Keep one detection of each object, in order of falling score.

    Non-maximum suppression runs first within each phrase (`SAME_PHRASE_IOU`), then across phrases (`OTHER_PHRASE_IOU`).

    Args:
        detections: all detections on one image.
    """

    def suppressed(items: list[Detection], iou: float) -> list[Detection]:
        boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (item.box for item in items)]
        kept = cv2.dnn.NMSBoxes(boxes, [item.score for item in items], 0.0, iou)
        return [items[int(index)] for index in np.asarray(kept).ravel()]

    by_label: dict[str, list[Detection]] = {}
    for item in detections:
        by_label.setdefault(item.label, []).append(item)
    remaining = [item for items in by_label.values() for item in suppressed(items, SAME_PHRASE_IOU)]
    return sorted(suppressed(remaining, OTHER_PHRASE_IOU) if remaining else [], key=lambda item: -item.score)
