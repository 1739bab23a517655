# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the built-in checkpoints and the engine, compared with bench/accuracy_baseline.json.

This is a short version of `make bench-accuracy`. tools/pin_accuracy.py pins a new baseline after an improvement.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.evaluation.report import GATE, measure, regressions
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

pytest.importorskip("trackeval", reason="the benchmark's library")
BASELINE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "bench" / "accuracy_baseline.json").read_text())


def test_accuracy_is_not_below_the_pinned_report(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    report = measure(segmenter, detector, GATE, log=lambda _: None)
    assert regressions(report, BASELINE, margin=0.06) == []  # rounding differs between processors


def test_lower_metrics_are_reported_by_name() -> None:
    """The gate must report a metric that lost four points, and a missing suite."""
    report = copy.deepcopy(BASELINE)
    report["prompted"]["easy"]["samurai"]["J&F"] -= 0.04
    report["detector"]["mixed phrases"]["AP50"] -= 0.04
    del report["text"]["easy"]
    sentences = regressions(report, BASELINE)
    assert len(sentences) == 4
    assert sentences[0].startswith("easy samurai J&F")
    assert any("mixed phrases AP50" in sentence for sentence in sentences)
