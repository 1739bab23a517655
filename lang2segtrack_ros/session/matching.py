# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of the matcher for exemplar prompts."""

from __future__ import annotations

from lang2segtrack_ros.detection.detector import Detector, ExemplarDetector, ExemplarMatcher
from lang2segtrack_ros.detection.exemplar import ExemplarFinder
from lang2segtrack_ros.identity.exemplar_features import PLACES, FeatureMatcher
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.degradation import degrade
from lang2segtrack_ros.types.prompts import PromptError


def matcher_of(kind: str, detector: Detector | None, segmenter: Sam2Segmenter) -> ExemplarMatcher | None:
    """Return the matcher of a session, or None if the detector takes no exemplars and must match them.

    Args:
        kind: value of the option `exemplar`.
        detector: the detector of the session. None without one.
        segmenter: the segmenter of the session.
    """
    if kind != "features" and isinstance(detector, ExemplarDetector):
        return detector
    return None if kind == "detector" else FeatureMatcher(segmenter)


def no_matcher_message(detector: Detector | None) -> str:
    """Return a sentence on why exemplars are refused, with the fix."""
    reason = f'the detector "{detector.name}" finds objects by name only' if detector is not None else "there is no detector"
    return f"{reason}, and the option exemplar is detector: set it to auto or features, or load a detector that takes exemplars"


def finder_of(kind: str, detector: Detector | None, segmenter: Sam2Segmenter) -> ExemplarFinder:
    """Return the matcher with room for encodings. Raise PromptError if there is none. See `matcher_of` for the arguments."""
    matcher = matcher_of(kind, detector, segmenter)
    if matcher is None:
        raise PromptError(no_matcher_message(detector))
    return ExemplarFinder(matcher)


def smaller_matcher(matcher: ExemplarMatcher | None) -> FeatureMatcher | None:
    """Return the same matcher with the next lower memory use. None at the lowest settings, and for a detector, which shrinks itself."""
    segmenter = degrade(matcher.segmenter, PLACES) if isinstance(matcher, FeatureMatcher) else None
    return FeatureMatcher(segmenter) if segmenter is not None else None
