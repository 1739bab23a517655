# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of the matcher for exemplar prompts."""

from __future__ import annotations

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.detection.exemplar import ExemplarDetector
from lang2segtrack_ros.identity.exemplar_features import PLACES, FeatureMatcher
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.degradation import degrade


def matcher_of(kind: str, detector: Detector | None, segmenter: Sam2Segmenter) -> ExemplarDetector | None:
    """Return the matcher of a session, or None if the detector takes no exemplars and must match them.

    Args:
        kind: value of the option `exemplar`.
        detector: the detector of the session. None without one.
        segmenter: the segmenter of the session.
    """
    if kind != "features" and isinstance(detector, ExemplarDetector):
        return detector
    return None if kind == "detector" else FeatureMatcher(segmenter)


def smaller_matcher(matcher: ExemplarDetector | None) -> FeatureMatcher | None:
    """Return the same matcher with the next lower memory use. None at the lowest settings, and for a detector, which shrinks itself."""
    segmenter = degrade(matcher.segmenter, PLACES) if isinstance(matcher, FeatureMatcher) else None
    return FeatureMatcher(segmenter) if segmenter is not None else None
