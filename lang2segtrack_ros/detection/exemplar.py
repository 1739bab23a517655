# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""A matcher with its encoded exemplars: it finds the objects that look like them."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, ExemplarMatcher, detect_exemplar, suppress_duplicates
from lang2segtrack_ros.types.prompts import ExemplarPrompt, PromptError


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

    def __init__(self, matcher: ExemplarMatcher) -> None:
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
        found = detect_exemplar(self.matcher, color, encodings, labels, minima)
        return ExemplarMatches(tuple(suppress_duplicates(found)), tuple(refused))

    def _encoding(self, exemplar: ExemplarPrompt) -> Any:
        if exemplar not in self._encodings:
            assert exemplar.image is not None
            self._encodings[exemplar] = self.matcher.encode_exemplar(exemplar.image, exemplar.box)
        return self._encodings[exemplar]

    def __getstate__(self) -> ExemplarMatcher:
        """Return the state for checkpoints, without the encodings: the next detection encodes the exemplars again."""
        return self.matcher

    def __setstate__(self, matcher: ExemplarMatcher) -> None:
        """Restore the state of a checkpoint."""
        self.__init__(matcher)  # type: ignore[misc]
