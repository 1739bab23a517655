#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Writes bench/accuracy_baseline.json, the accuracy that the tests require of the built-in checkpoints and the engine."""

from __future__ import annotations

import json
from pathlib import Path

from lang2segtrack_ros.evaluation.report import GATE, measure
from lang2segtrack_ros.models.loading import load_detector, load_segmenter

report = measure(load_segmenter("toy", "cpu"), load_detector("toy", "cpu"), GATE)
path = Path(__file__).parent.parent / "bench" / "accuracy_baseline.json"
path.write_text(json.dumps(report, indent=1) + "\n")
print(f"written: {path}")
