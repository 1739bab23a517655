# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The built-in checkpoints and the engine are as accurate as when bench/accuracy_baseline.json was pinned.

A short version of `make bench-accuracy`; after a change for the better, pin anew with tools/pin_accuracy.py.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.evaluation.report import GATE, measure, worse
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter

pytest.importorskip("trackeval", reason="the benchmark's library")
BASELINE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "bench" / "accuracy_baseline.json").read_text())


def test_nothing_is_worse_than_pinned(segmenter: Sam2Segmenter, detector: GroundingDinoDetector) -> None:
    report = measure(segmenter, detector, GATE, tell=lambda _: None)
    assert worse(report, BASELINE, margin=0.06) == []  # other processors round otherwise


def test_the_gate_closes() -> None:
    """A report that lost four points somewhere, or lacks a suite, is refused by name."""
    report = copy.deepcopy(BASELINE)
    report["prompted"]["easy"]["samurai"]["J&F"] -= 0.04
    report["detector"]["mixed phrases"]["AP50"] -= 0.04
    del report["text"]["easy"]
    complaints = worse(report, BASELINE)
    assert len(complaints) == 4
    assert complaints[0].startswith("easy samurai J&F")
    assert any("mixed phrases AP50" in complaint for complaint in complaints)
