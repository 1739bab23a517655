# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The interface of matchers, which find the objects that look like an exemplar, and the call that checks their results."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, checked_detections, suppress_duplicates
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError
from lang2segtrack_ros.types.rle import Box


@runtime_checkable
class ExemplarDetector(Protocol):
    """A network that finds the objects that look like an exemplar. A detector with these parts takes exemplar prompts.

    Attributes:
        name: name of the matcher for messages.
        exemplar_threshold: minimum score of a detection if a prompt gives none, 0..1.
    """

    name: str
    exemplar_threshold: float

    def encode_exemplar(self, color: NDArray[np.uint8], box: Box) -> Any:
        """Return the encoding of one exemplar, which only `detect_exemplar` reads.

        Args:
            color: uint8 [H, W, 3], RGB, image of the exemplar.
            box: its box (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima.

        Raises:
            PromptError: the box shows no object.
        """
        ...

    def detect_exemplar(
        self, color: NDArray[np.uint8], exemplars: Sequence[Any], labels: Sequence[str], thresholds: Sequence[float]
    ) -> list[Detection]:
        """Return the objects on one image that look like the exemplars, in order of falling score.

        Args:
            color: uint8 [H, W, 3], RGB.
            exemplars: encodings from `encode_exemplar`.
            labels: label of the detections for each exemplar. Several exemplars may have the same label.
            thresholds: minimum score for each exemplar, 0..1.
        """
        ...


@dataclass(frozen=True, eq=False)
class ExemplarMatches:
    """The result of a matcher on one image.

    Attributes:
        detections: the detections in order of falling score, without duplicates.
        refused: reason by exemplar, for exemplars whose box shows no object.
    """

    detections: tuple[Detection, ...] = ()
    refused: tuple[tuple[ExemplarPrompt, str], ...] = ()


class ExemplarFinder:
    """A matcher with the encodings of its exemplars. Each exemplar is encoded once, and its encoding ends with the prompt.

    Args:
        matcher: the matcher.
    """

    def __init__(self, matcher: ExemplarDetector) -> None:
        self.matcher = matcher
        self._encodings: weakref.WeakKeyDictionary[ExemplarPrompt, Any] = weakref.WeakKeyDictionary()

    def find(self, color: NDArray[np.uint8], exemplars: Sequence[ExemplarPrompt], thresholds: Sequence[float]) -> ExemplarMatches:
        """Find the objects on an image that look like the exemplars.

        Args:
            color: uint8 [H, W, 3], RGB.
            exemplars: the exemplars, with their images.
            thresholds: minimum score for each exemplar, 0..1.

        Raises:
            DetectorError: the result of the matcher is no list of valid detections.
            Exception: any exception of the matcher.
        """
        encoded, refused = [], []
        for exemplar, threshold in zip(exemplars, thresholds):
            try:
                encoded.append((self._encoding(exemplar), exemplar.label, threshold))
            except PromptError as error:
                refused.append((exemplar, str(error)))
        if not encoded:
            return ExemplarMatches(refused=tuple(refused))
        encodings, labels, minima = zip(*encoded)
        found = self.matcher.detect_exemplar(color, encodings, labels, minima)
        checked = checked_detections(self.matcher.name, found, color, labels)
        return ExemplarMatches(tuple(suppress_duplicates(checked)), tuple(refused))

    def _encoding(self, exemplar: ExemplarPrompt) -> Any:
        if exemplar not in self._encodings:
            assert exemplar.image is not None
            self._encodings[exemplar] = self.matcher.encode_exemplar(exemplar.image, exemplar.box)
        return self._encodings[exemplar]
