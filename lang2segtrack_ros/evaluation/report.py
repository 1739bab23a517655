# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Suites x policies: the run, its JSON, its table and its picture, and the comparison with a pinned run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.prompted import follow
from lang2segtrack_ros.evaluation.stills import examine
from lang2segtrack_ros.evaluation.texts import listen
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.suites import SUITES, Clip, make_clip
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

TEXT_SUITES = ("easy", "crossing", "crowd", "exit_return", "scene_cut")
SHOWN = ("J&F", "J_visible", "hidden_empty", "visible_empty", "IDF1", "HOTA", "id_switches", "found_again", "centre_right", "extent_right")
TEXT_SHOWN = ("J&F", "IDF1", "HOTA", "switches_per_1000", "found_in_15", "false_per_minute", "label_right", "old_id", "longest_stray")


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        suites, policies, text_suites: names.
        clips: of each suite.
        stills: pictures for the detector.
        first_seed: clips have the seeds from here on; those of the training lie far above.
    """

    suites: Sequence[str] = tuple(SUITES)
    policies: Sequence[str] = POLICY_NAMES
    text_suites: Sequence[str] = TEXT_SUITES
    clips: int = 8
    stills: int = 300
    first_seed: int = 0

    def of(self, suite: str) -> list[Clip]:
        """The clips of a suite, every other one in 16:9."""
        return [make_clip(suite, self.first_seed + i, 320, 240 if i % 2 == 0 else 180) for i in range(self.clips)]


GATE = Plan(suites=("easy", "distractors", "occlusion"), policies=("samurai",), text_suites=("easy",), clips=2, stills=60)
"""The short plan of the tests; without crossings, where a rounding error decides who follows whom."""


def measure(segmenter: Sam2Segmenter, detector: Detector, plan: Plan, tell: Callable[[str], None] = print) -> dict[str, Any]:
    """Runs a plan; the result is what `accuracy.json` holds."""
    report: dict[str, Any] = {"clips": plan.clips, "first_seed": plan.first_seed, "detector": {}, "prompted": {}, "text": {}}
    if plan.stills:
        report["detector"] = {
            "mixed phrases": examine(detector, plan.stills, plan.first_seed),
            "one word": examine(detector, plan.stills // 3, plan.first_seed, full=0.0),
        }
        tell(f"detector: {_line(report['detector']['mixed phrases'])}")
    for suite in plan.suites:
        clips = plan.of(suite)
        report["prompted"][suite] = {}
        for policy in plan.policies:
            numbers = follow(segmenter, clips, policy).summary()
            report["prompted"][suite][policy] = numbers
            tell(f"{suite}, {policy}: {_line(numbers)}")
    for suite in plan.text_suites:
        numbers = listen(segmenter, detector, plan.of(suite), "samurai").summary()
        report["text"][suite] = numbers
        tell(f"{suite}, text: {_line(numbers)}")
    return report


def _line(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in numbers.items() if not math.isnan(value))


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}".removesuffix(".000") if isinstance(value, float) else str(value)


def table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ["# Accuracy on the toy suites", "", f"{report['clips']} clips of each suite, seeds from {report['first_seed']}.", ""]
    if report["detector"]:
        names = list(next(iter(report["detector"].values())))
        lines += ["## Detector on single pictures", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        lines += [f"| {kind} | " + " | ".join(_cell(row[name]) for name in names) + " |" for kind, row in report["detector"].items()]
        lines.append("")
    if report["prompted"]:
        lines += ["## Followed from a true box", "", "| suite | policy | " + " | ".join(SHOWN) + " |", "|---" * (len(SHOWN) + 2) + "|"]
        for suite, rows in report["prompted"].items():
            lines += [f"| {suite} | {policy} | " + " | ".join(_cell(row[name]) for name in SHOWN) + " |" for policy, row in rows.items()]
        lines.append("")
    if report["text"]:
        lines += ["## Named by text", "", "| suite | " + " | ".join(TEXT_SHOWN) + " |", "|---" * (len(TEXT_SHOWN) + 1) + "|"]
        lines += [f"| {suite} | " + " | ".join(_cell(row[name]) for name in TEXT_SHOWN) + " |" for suite, row in report["text"].items()]
    return "\n".join(lines) + "\n"


def picture(report: dict[str, Any], path: Path) -> None:
    """Bars of J&F for each suite and policy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    suites = list(report["prompted"])
    policies = list(next(iter(report["prompted"].values())))
    figure, axes = pyplot.subplots(figsize=(1.1 * len(suites) + 2, 4))
    width = 0.8 / len(policies)
    for number, policy in enumerate(policies):
        places = [index + (number - (len(policies) - 1) / 2) * width for index in range(len(suites))]
        axes.bar(places, [report["prompted"][suite][policy]["J&F"] for suite in suites], width * 0.92, label=policy)
    axes.set_xticks(range(len(suites)), [suite.replace("_", "\n") for suite in suites], fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("J&F")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=len(policies), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write(report: dict[str, Any], folder: Path) -> None:
    """Writes accuracy.json, accuracy.md and, where clips were followed, accuracy.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "accuracy.json").write_text(json.dumps(report, indent=1))
    (folder / "accuracy.md").write_text(table(report))
    if report["prompted"]:
        picture(report, folder / "accuracy.png")


def worse(report: dict[str, Any], pinned: dict[str, Any], margin: float = 0.03) -> list[str]:
    """Sentences about what fell below a pinned report by more than `margin`; both must come from the same plan."""
    complaints = []
    for kind, suite, policy, name in (
        *(("prompted", suite, policy, "J&F") for suite, rows in pinned["prompted"].items() for policy in rows),
        *(("text", suite, "", name) for suite in pinned["text"] for name in ("J&F", "IDF1")),
        *(("detector", kind, "", name) for kind in pinned["detector"] for name in ("AP50", "found")),
    ):
        rows = (side[kind].get(suite, {}) for side in (report, pinned))
        now, then = ((row.get(policy, {}) if policy else row).get(name, math.nan) for row in rows)
        if not now >= then - margin:
            complaints.append(f"{suite} {policy} {name}: {now:.3f}, pinned {then:.3f}".replace("  ", " "))
    return complaints
