# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy report of suites and policies: run, JSON, table, figure, and comparison with a pinned report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.prompted import track_prompted
from lang2segtrack_ros.evaluation.stills import evaluate_detector
from lang2segtrack_ros.evaluation.texts import run_text_prompts
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.suites import SUITES, Clip, make_clip
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

TEXT_SUITES = ("easy", "crossing", "crowd", "exit_return", "scene_cut")
PROMPTED_COLUMNS = (
    "J&F",
    "J_visible",
    "hidden_empty",
    "visible_empty",
    "IDF1",
    "HOTA",
    "id_switches",
    "found_again",
    "center_correct",
    "extent_correct",
)
TEXT_COLUMNS = ("J&F", "IDF1", "HOTA", "switches_per_1000", "found_in_15", "false_per_minute", "label_correct", "old_id", "longest_stray")


@dataclass(frozen=True)
class Plan:
    """Selection of clips and policies to run.

    Attributes:
        suites, policies, text_suites: names.
        clips: number of clips per suite.
        stills: number of pictures for the detector.
        first_seed: first seed of the clips. Training uses far larger seeds.
    """

    suites: Sequence[str] = tuple(SUITES)
    policies: Sequence[str] = POLICY_NAMES
    text_suites: Sequence[str] = TEXT_SUITES
    clips: int = 8
    stills: int = 300
    first_seed: int = 0

    def clips_of(self, suite: str) -> list[Clip]:
        """Return the clips of a suite; every other one is in 16:9."""
        return [make_clip(suite, self.first_seed + i, 320, 240 if i % 2 == 0 else 180) for i in range(self.clips)]


GATE = Plan(suites=("easy", "distractors", "occlusion"), policies=("samurai",), text_suites=("easy",), clips=2, stills=60)
"""Short plan of the tests. It has no crossings, since rounding errors may decide their outcome."""


def measure(segmenter: Sam2Segmenter, detector: Detector, plan: Plan, log: Callable[[str], None] = print) -> dict[str, Any]:
    """Run a plan.

    Args:
        segmenter: segmenter to evaluate.
        detector: detector to evaluate.
        plan: selection of clips and policies.
        log: function that prints a line of progress.

    Returns:
        The content of `accuracy.json`.
    """
    report: dict[str, Any] = {"clips": plan.clips, "first_seed": plan.first_seed, "detector": {}, "prompted": {}, "text": {}}
    if plan.stills:
        report["detector"] = {
            "mixed phrases": evaluate_detector(detector, plan.stills, plan.first_seed),
            "one word": evaluate_detector(detector, plan.stills // 3, plan.first_seed, full_ratio=0.0),
        }
        log(f"detector: {_line(report['detector']['mixed phrases'])}")
    for suite in plan.suites:
        clips = plan.clips_of(suite)
        report["prompted"][suite] = {}
        for policy in plan.policies:
            scores = track_prompted(segmenter, clips, policy).summary()
            report["prompted"][suite][policy] = scores
            log(f"{suite}, {policy}: {_line(scores)}")
    for suite in plan.text_suites:
        scores = run_text_prompts(segmenter, detector, plan.clips_of(suite), "samurai").summary()
        report["text"][suite] = scores
        log(f"{suite}, text: {_line(scores)}")
    return report


def _line(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in scores.items() if not math.isnan(value))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}".removesuffix(".000") if isinstance(value, float) else str(value)


def table(report: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = ["# Accuracy on the toy suites", "", f"{report['clips']} clips of each suite, seeds from {report['first_seed']}.", ""]
    if report["detector"]:
        names = list(next(iter(report["detector"].values())))
        lines += ["## Detector on single pictures", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        lines += [f"| {kind} | " + " | ".join(_cell(row[name]) for name in names) + " |" for kind, row in report["detector"].items()]
        lines.append("")
    if report["prompted"]:
        lines += [
            "## Prompted by a ground-truth box",
            "",
            "| suite | policy | " + " | ".join(PROMPTED_COLUMNS) + " |",
            "|---" * (len(PROMPTED_COLUMNS) + 2) + "|",
        ]
        for suite, rows in report["prompted"].items():
            lines += [
                f"| {suite} | {policy} | " + " | ".join(_cell(row[name]) for name in PROMPTED_COLUMNS) + " |"
                for policy, row in rows.items()
            ]
        lines.append("")
    if report["text"]:
        lines += ["## Prompted by text", "", "| suite | " + " | ".join(TEXT_COLUMNS) + " |", "|---" * (len(TEXT_COLUMNS) + 1) + "|"]
        lines += [f"| {suite} | " + " | ".join(_cell(row[name]) for name in TEXT_COLUMNS) + " |" for suite, row in report["text"].items()]
    return "\n".join(lines) + "\n"


def picture(report: dict[str, Any], path: Path) -> None:
    """Write a bar chart of J&F per suite and policy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    suites = list(report["prompted"])
    policies = list(next(iter(report["prompted"].values())))
    figure, axes = pyplot.subplots(figsize=(1.1 * len(suites) + 2, 4))
    width = 0.8 / len(policies)
    for number, policy in enumerate(policies):
        positions = [index + (number - (len(policies) - 1) / 2) * width for index in range(len(suites))]
        axes.bar(positions, [report["prompted"][suite][policy]["J&F"] for suite in suites], width * 0.92, label=policy)
    axes.set_xticks(range(len(suites)), [suite.replace("_", "\n") for suite in suites], fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("J&F")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=len(policies), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(report: dict[str, Any], folder: Path) -> None:
    """Write accuracy.json, accuracy.md and, for a report with box prompts, accuracy.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accuracy.json").write_text(json.dumps(report, indent=1))
    (folder / "accuracy.md").write_text(table(report))
    if report["prompted"]:
        picture(report, folder / "accuracy.png")


def regressions(report: dict[str, Any], pinned: dict[str, Any], margin: float = 0.03) -> list[str]:
    """Return one sentence for each metric that is lower than in a pinned report of the same plan.

    Args:
        report: new report.
        pinned: pinned report.
        margin: largest accepted drop.
    """
    sentences = []
    for kind, suite, policy, name in (
        *(("prompted", suite, policy, "J&F") for suite, rows in pinned["prompted"].items() for policy in rows),
        *(("text", suite, "", name) for suite in pinned["text"] for name in ("J&F", "IDF1")),
        *(("detector", kind, "", name) for kind in pinned["detector"] for name in ("AP50", "found")),
    ):
        rows = (side[kind].get(suite, {}) for side in (report, pinned))
        value, pinned_value = ((row.get(policy, {}) if policy else row).get(name, math.nan) for row in rows)
        if not value >= pinned_value - margin:
            sentences.append(f"{suite} {policy} {name}: {value:.3f}, pinned {pinned_value:.3f}".replace("  ", " "))
    return sentences
