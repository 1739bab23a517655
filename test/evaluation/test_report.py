# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The accuracy report: rows of all suites, tables, and files after each suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.evaluation import report
from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.prompted import PromptedScore
from lang2segtrack_ros.evaluation.texts import TextScore
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.suites import Clip

pytest.importorskip("trackeval", reason="the benchmark's library")
PLAN = report.Plan(
    ("easy", "crossing"), ("samurai",), ("easy", "crossing"), clips=2, stills=0, first_seed=5, size=(64, 48), references=("sam2",)
)


def fill(score: Any, clip: Clip) -> Any:
    """Add one visible object to a score. Its mask is right in `easy` and empty in `crossing`."""
    truth = np.zeros((48, 64), np.uint16)
    truth[10:20, 10:20] = 1
    mask = (truth == 1) & (clip.suite == "easy")
    score.add((clip.suite, clip.seed, 1), mask, truth == 1)
    record = IdentityRecord()
    record.add(truth, [1], {1: mask})
    score.results.append(record.evaluate())
    return score


def test_report_is_written_after_each_suite(
    segmenter: Sam2Segmenter, detector: GroundingDinoDetector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "track_prompted", lambda _, clip: fill(PromptedScore(), clip))

    def interrupt_second_suite(_: object, clip: Clip, *__: object) -> TextScore:
        if clip.suite == "crossing":
            raise KeyboardInterrupt
        return fill(TextScore(clips=1, frames=1), clip)

    monkeypatch.setattr(report, "track_text", interrupt_second_suite)
    with pytest.raises(KeyboardInterrupt):
        report.measure(segmenter, detector, PLAN, lambda _: None, lambda part: report.write(part, tmp_path))
    written = json.loads((tmp_path / "accuracy.json").read_text())
    assert {suite: list(rows) for suite, rows in written["prompted"].items()} == {
        suite: ["samurai", "SAM 2 (transformers)"] for suite in ("easy", "crossing", "all")
    }
    scores = {suite: rows["samurai"]["J_objects"] for suite, rows in written["prompted"].items()}
    assert scores == {"easy": 1.0, "crossing": 0.0, "all": 0.5}
    assert [clip["seed"] for clip in written["prompted"]["easy"]["samurai"]["by_clip"]] == [5, 6]
    assert list(written["text"]) == ["easy", "all"]
    table = (tmp_path / "accuracy.md").read_text()
    assert "2 clips of each suite, seeds from 5, 64 x 48." in table
    assert "| crossing | SAM 2 (transformers) | 0 |" in table
    assert "## Prompted by text" in table
    assert "## False tracks" not in table, "the plan has no false alarms"


def test_clips_have_the_size_of_the_plan() -> None:
    assert {(clip.scene.width, clip.scene.height) for clip in PLAN.clips_of("easy")} == {(64, 48)}
    default = report.Plan(clips=3).clips_of("easy")
    assert [(clip.scene.width, clip.scene.height) for clip in default] == [(320, 240), (320, 180), (320, 240)]
