# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy report of the toy suites: run, files, and comparison with a pinned report."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from lang2segtrack_ros.detection.detector import Detector
from lang2segtrack_ros.evaluation.false_alarms import FALSE_ALARMS, PLAIN
from lang2segtrack_ros.evaluation.prompted import track_prompted
from lang2segtrack_ros.evaluation.reference import Sam2Reference
from lang2segtrack_ros.evaluation.scores import ScoreT, merge
from lang2segtrack_ros.evaluation.stills import evaluate_detector
from lang2segtrack_ros.evaluation.tables import table
from lang2segtrack_ros.evaluation.texts import track_text
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.options import SessionOptions
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.suites import SUITES, Clip, make_clip
from lang2segtrack_ros.tracking.policies.registry import POLICY_NAMES

REFERENCES = {"sam2": "SAM 2 (transformers)"}
"""Reference trackers by their name on the command line, with their name in the report."""
ALL = "all"
"""Row of the report with the objects of all suites."""
CLIP_COLUMNS = ("J_objects", "objects", "IDF1", "id_switches", "false_tracks", "absent_names")
"""Scores of single clips in the report."""


@dataclass(frozen=True)
class Plan:
    """Selection of clips and methods to run.

    Attributes:
        suites, policies, text_suites: names.
        associations: rules of association, values of the option `association`. The results of probation are held back, as SAM 3 does.
        detect_every: frames from one detection to the next.
        clips: number of clips per suite.
        stills: number of pictures for the detector.
        first_seed: first seed of the clips. Training uses far larger seeds.
        size: width and height of all clips in pixels. None runs 320 x 240, and every other clip in 16:9.
        references: names of `REFERENCES` to run beside the policies.
        false_alarms: True runs the text suites under each condition of `FALSE_ALARMS`, too.
    """

    suites: Sequence[str] = tuple(SUITES)
    policies: Sequence[str] = POLICY_NAMES
    text_suites: Sequence[str] = tuple(SUITES)
    associations: Sequence[str] = ("standard",)
    detect_every: int = SessionOptions().detect_every
    clips: int = 8
    stills: int = 300
    first_seed: int = 0
    size: tuple[int, int] | None = None
    references: Sequence[str] = ()
    false_alarms: bool = False

    @property
    def rules(self) -> dict[str, SessionOptions]:
        """Return the options of each association by the name that rows add to their method. The name of the standard rules is empty."""
        options = {name: SessionOptions(association=name, detect_every=self.detect_every) for name in self.associations}
        return {"" if name == "standard" else f", {name}": item for name, item in options.items()}

    def clips_of(self, suite: str) -> list[Clip]:
        """Return the clips of a suite."""
        sizes = [self.size or (320, 240 if i % 2 == 0 else 180) for i in range(self.clips)]
        return [make_clip(suite, self.first_seed + i, *size) for i, size in enumerate(sizes)]


GATE = Plan(suites=("easy", "distractors", "occlusion"), policies=("samurai",), text_suites=("easy",), clips=2, stills=60)
"""Short plan of the tests. It has no crossings, since rounding errors may decide their outcome."""


class _Builder:
    """A report that grows by the clips of one suite and method at a time.

    Args:
        plan: selection of clips and methods.
        log: function that prints a line of progress.
        save: function that stores the report.
    """

    def __init__(self, plan: Plan, log: Callable[[str], None], save: Callable[[dict[str, Any]], None]) -> None:
        self.report: dict[str, Any] = {"clips": plan.clips, "first_seed": plan.first_seed, "size": plan.size, "detector": {}}
        self.report |= {"prompted": {}, "text": {}, "false_alarms": {}}
        self.log = log
        self.save = save
        self._scores: dict[tuple[str, str], list[Any]] = defaultdict(list)

    def add(self, section: str, suite: str, method: str, scores: list[ScoreT]) -> None:
        """Add the clips of one suite, update the row of all suites, and store the report.

        Args:
            section: "prompted", "text" or "false_alarms".
            suite: name of the suite.
            method: name of the policy, the reference or the condition.
            scores: scores of the clips.
        """
        rows = self.report[section]
        self._scores[section, method] += scores
        row = merge(scores).summary()
        clips = [
            {"seed": self.report["first_seed"] + i, **{name: value for name, value in score.summary().items() if name in CLIP_COLUMNS}}
            for i, score in enumerate(scores)
        ]
        total = rows.pop(ALL, {})
        rows.setdefault(suite, {})[method] = {**row, "by_clip": clips}
        rows[ALL] = {**total, method: merge(self._scores[section, method]).summary()}
        self.log(f"{suite}, {section} {method}: {_line(row)}")
        self.save(self.report)


def measure(
    segmenter: Sam2Segmenter,
    detector: Detector,
    plan: Plan,
    log: Callable[[str], None] = print,
    save: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Run a plan.

    Args:
        segmenter: segmenter to evaluate.
        detector: detector to evaluate.
        plan: selection of clips and methods.
        log: function that prints a line of progress.
        save: function that stores the report. It is called after each suite and method, so that an interrupted run keeps its results.

    Returns:
        The content of `accuracy.json`.
    """
    builder = _Builder(plan, log, save)
    if plan.stills:
        builder.report["detector"] = {
            "mixed phrases": evaluate_detector(detector, plan.stills, plan.first_seed),
            "one word": evaluate_detector(detector, plan.stills // 3, plan.first_seed, full_ratio=0.0),
        }
        log(f"detector: {_line(builder.report['detector']['mixed phrases'])}")
    conditions = FALSE_ALARMS if plan.false_alarms else {}
    for suite in dict.fromkeys((*plan.suites, *plan.text_suites)):
        clips = plan.clips_of(suite)
        if suite in plan.suites:
            for policy in plan.policies:
                for rules, options in plan.rules.items():
                    prompted = [track_prompted(Session(segmenter, policy=policy, options=options), clip) for clip in clips]
                    builder.add("prompted", suite, policy + rules, prompted)
            for name in plan.references:
                builder.add("prompted", suite, REFERENCES[name], [track_prompted(Sam2Reference(segmenter), clip) for clip in clips])
        if suite in plan.text_suites:
            policy = plan.policies[0]
            runs = (("text", policy, PLAIN), *(("false_alarms", *item) for item in conditions.items()))
            for (section, method, condition), (rules, options) in product(runs, plan.rules.items()):
                held_back = options.association == "sam3"
                prompts = [condition.prompt(clip, detector.default_threshold) for clip in clips]
                scores = [
                    track_text(Session(segmenter, detector, policy, options=options), clip, prompt, held_back)
                    for clip, prompt in zip(clips, prompts)
                ]
                builder.add(section, suite, method + rules, scores)
    return builder.report


def _line(scores: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in scores.items() if not math.isnan(value))


def write(report: dict[str, Any], folder: Path) -> None:
    """Write accuracy.json and accuracy.md. Each file is replaced as a whole, so that an interruption leaves the previous one.

    Args:
        report: the report.
        folder: folder of the files; created if it is absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("accuracy.json", json.dumps(report, indent=1)), ("accuracy.md", table(report))):
        part = folder / f"{name}.part"
        part.write_text(text)
        part.replace(folder / name)


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
        *(("text", suite, policy, name) for suite, rows in pinned["text"].items() for policy in rows for name in ("J&F", "IDF1")),
        *(("detector", kind, "", name) for kind in pinned["detector"] for name in ("AP50", "found")),
    ):
        rows = (side[kind].get(suite, {}) for side in (report, pinned))
        value, pinned_value = ((row.get(policy, {}) if policy else row).get(name, math.nan) for row in rows)
        if not value >= pinned_value - margin:
            sentences.append(f"{suite} {policy} {name}: {value:.3f}, pinned {pinned_value:.3f}".replace("  ", " "))
    return sentences
