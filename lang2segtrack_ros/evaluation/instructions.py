# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of instructions on the toy world: the chosen objects against the truth, and the refusal of sentences without meaning."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.detection.detector import Detection, Detector
from lang2segtrack_ros.detection.instruction_resolver import InstructionRequest, InstructionResolver
from lang2segtrack_ros.evaluation.instruction_templates import TEMPLATES, Case, Template, draw_cases
from lang2segtrack_ros.evaluation.refusals import draw_sentences
from lang2segtrack_ros.instructions.answer import Answer
from lang2segtrack_ros.instructions.chain import answer_instruction, read
from lang2segtrack_ros.instructions.plan import InstructionError
from lang2segtrack_ros.instructions.scene import box_iou
from lang2segtrack_ros.io.answer_picture import draw_answer
from lang2segtrack_ros.io.rendering import contact_sheet
from lang2segtrack_ros.io.writers import write_png
from lang2segtrack_ros.toyworld.arrangements import Arrangement, make_arrangement
from lang2segtrack_ros.toyworld.metrics import MATCH_IOU
from lang2segtrack_ros.toyworld.phrases import GENERIC_WORDS
from lang2segtrack_ros.toyworld.shapes import COLORS, SHAPES
from lang2segtrack_ros.types.instruction import InstructionPrompt
from lang2segtrack_ros.types.prompts import PromptError

EVERYTHING = "object"
"""Phrase of the toy world for every object."""
_GRAY_LEVEL_STEP = 16  # finer levels are mostly noise and enlarge the PNG
_MAX_TRIES = 60
"""Maximum number of arrangements that are drawn for one case."""


class TrueDetector:
    """A detector that returns the true boxes of an arrangement.

    Args:
        arrangement: the arrangement.
    """

    name = "truth"
    default_threshold = 0.5

    def __init__(self, arrangement: Arrangement) -> None:
        self._arrangement = arrangement

    def check(self, phrases: Sequence[str]) -> list[str]:
        """Return the words that the toy world does not have."""
        return [word for phrase in phrases for word in phrase.split() if word not in (*COLORS, *SHAPES, *GENERIC_WORDS)]

    def detect(self, color: NDArray[np.uint8], phrases: Sequence[str], thresholds: Sequence[float]) -> list[Detection]:
        """Return the true box of each object that a phrase names."""
        found = []
        for phrase in phrases:
            needed = {*phrase.split()} - {*GENERIC_WORDS}
            found += [Detection(phrase, 0.9, tuple(map(float, i.box))) for i in self._arrangement.items if needed <= {i.color, i.shape}]  # type: ignore[arg-type]
        return found


@dataclass(frozen=True)
class Score:
    """Counts over the cases of a template or a suite.

    Attributes:
        cases: number of cases.
        chosen: number of chosen objects.
        correct: number of chosen objects that the sentence means.
        wanted: number of objects that the sentences mean.
        refused: number of cases that were refused.
    """

    cases: int = 0
    chosen: int = 0
    correct: int = 0
    wanted: int = 0
    refused: int = 0

    def __add__(self, other: Score) -> Score:
        """Return the sum of the counts."""
        return Score(*(one + two for one, two in zip(vars(self).values(), vars(other).values())))

    @property
    def precision(self) -> float:
        """Return the fraction of the chosen objects that are meant. NaN without any."""
        return self.correct / self.chosen if self.chosen else math.nan

    @property
    def recall(self) -> float:
        """Return the fraction of the meant objects that are chosen. NaN without any."""
        return self.correct / self.wanted if self.wanted else math.nan


def make_cases(template: Template, count: int, first_seed: int) -> list[Case]:
    """Return cases of a template, each on an arrangement of its own. A moving arrangement gives two, one for each frame.

    Args:
        template: the template.
        count: number of cases.
        first_seed: seed of the first arrangement. Arrangements without a clear truth are skipped.
    """
    cases: list[Case] = []
    for seed in range(first_seed, first_seed + _MAX_TRIES):
        if len(cases) >= count:
            break
        first = make_arrangement(template.arrangement, seed)
        frames = [Arrangement(first.scene, first.roles, index) for index in range(first.scene.length or 1)]
        cases += draw_cases(template, frames, seed)
    return cases


def answer(case: Case, detector: Detector) -> Answer:
    """Return the answer of the chain to a case. Raise InstructionError for a refusal.

    Args:
        case: the case.
        detector: the detector.
    """
    shot, camera = case.arrangement.shot, case.arrangement.scene.camera
    prompt = InstructionPrompt(case.text, everything=EVERYTHING)
    return answer_instruction(detector, shot.color, prompt, *((shot.depth_m, camera) if case.template.depth else ()))


def score(case: Case, detector: Detector) -> Score:
    """Return the counts of one case.

    Args:
        case: the case.
        detector: the detector, or a `TrueDetector`.
    """
    try:
        chosen = [choice.item.box for choice in answer(case, detector).choices]
    except InstructionError:
        return Score(1, 0, 0, case.wanted, 1)
    return _counted(case, chosen)


def score_resolver(case: Case, resolver: InstructionResolver) -> Score:
    """Return the counts of one case with a resolver, such as a vision-language model. An answer that cannot be used is a refusal.

    Args:
        case: the case.
        resolver: the resolver.

    Raises:
        VlmError: the model gives no answer.
    """
    prompt = InstructionPrompt(case.text, everything=EVERYTHING)
    shot, camera = case.arrangement.shot, case.arrangement.scene.camera
    depth = (shot.depth_m, camera) if case.template.depth else (None, None)
    try:
        result = resolver.resolve(InstructionRequest(0, shot.color, prompt, depth=depth[0], camera=depth[1]))
    except PromptError:
        return Score(1, 0, 0, case.wanted, 1)
    return _counted(case, [item.box for item in result.detections])


def _counted(case: Case, chosen: Sequence[Sequence[float]]) -> Score:
    """Return the counts of the boxes that were chosen in a case."""
    numbers = {max(case.arrangement.items, key=lambda item: box_iou(item.box, box)).number for box in chosen if _matches(case, box)}
    return Score(1, len(chosen), min(len(numbers & case.truth), case.wanted), case.wanted)


def _matches(case: Case, box: Sequence[float]) -> bool:
    return any(box_iou(item.box, box) >= MATCH_IOU for item in case.arrangement.items)


def measure(
    detector: Detector | None,
    cases_per_template: int,
    first_seed: int,
    sentences: int,
    report: Callable[[str], None],
    templates: Sequence[Template] = TEMPLATES,
    resolver: InstructionResolver | None = None,
) -> dict[str, object]:
    """Return the scores of templates, and the refusals of random sentences.

    Args:
        detector: detector for the scores from end to end and for the vocabulary. None leaves both out.
        cases_per_template: number of cases of each template.
        first_seed: seed of the first arrangement.
        sentences: number of random sentences.
        report: called with a line for each template.
        templates: the templates.
        resolver: vision-language model to measure, too. None for none.

    Raises:
        VlmError: the model gives no answer.
    """
    rows = []
    for template in templates:
        cases = make_cases(template, cases_per_template, first_seed)
        given = sum((score(case, TrueDetector(case.arrangement)) for case in cases), Score())
        found = sum((score(case, detector) for case in cases), Score()) if detector else Score()
        row: dict[str, object] = {"suite": template.suite, "text": template.text, "true_boxes": vars(given), "detector": vars(found)}
        cells = _cells(given, found)
        if resolver is not None:
            asked = sum((score_resolver(case, resolver) for case in cases), Score())
            row["vlm"] = vars(asked)
            cells = f"{cells} | {_cells(asked)} | {asked.refused}"
        rows.append(row)
        report(f"{template.suite}: {template.text}: {cells}")
    return {
        "cases": cases_per_template,
        "first_seed": first_seed,
        "detector": detector.name if detector else "",
        **({"vlm": resolver.name, "vlm_counters": resolver.metrics()} if resolver is not None else {}),
        "templates": rows,
        "refusals": refusals(detector or TrueDetector(make_arrangement("scattered", 0)), sentences),
    }


def refusals(detector: Detector, count: int) -> dict[str, dict[str, int]]:
    """Return how many random sentences the grammar and the vocabulary of a detector refuse, by kind.

    Args:
        detector: the detector.
        count: number of sentences.
    """
    counts: dict[str, dict[str, int]] = defaultdict(lambda: {"sentences": 0, "grammar": 0, "vocabulary": 0, "accepted": 0})
    for kind, text in draw_sentences(count):
        row = counts[kind]
        row["sentences"] += 1
        try:
            read(detector, InstructionPrompt(text, everything=EVERYTHING))
            row["accepted"] += 1
        except InstructionError as error:
            row["vocabulary" if "does not know" in str(error) else "grammar"] += 1
    return dict(counts)


def _cells(*scores: Score) -> str:
    names = ("precision", "recall")
    return " | ".join(f"{getattr(item, name):.3f}" for item in scores for name in names)


def table(result: dict[str, object]) -> str:
    """Return a result of `measure` as Markdown: the suites, the templates and the refusals."""
    templates: list[dict[str, object]] = result["templates"]  # type: ignore[assignment]
    columns = {"true_boxes": "true boxes", "detector": "detector", **({"vlm": "VLM"} if "vlm" in result else {})}
    suites: dict[str, list[Score]] = {}
    for row in [*templates, *({**row, "suite": "all"} for row in templates)]:
        sums = suites.setdefault(str(row["suite"]), [Score() for _ in columns])
        for index, name in enumerate(columns):
            sums[index] += Score(**row[name])  # type: ignore[arg-type]
    counts = {suite: sum(row["suite"] == suite or suite == "all" for row in templates) for suite in suites}
    heads = ["suite", "templates", "cases", *(f"{kind}, {name}" for name in columns.values() for kind in ("precision", "recall"))]
    heads += ["refused, VLM"] if "vlm" in columns else []
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for suite, sums in suites.items():
        refusals_of_model = f" | {sums[2].refused}" if "vlm" in columns else ""
        lines.append(f"| {suite} | {counts[suite]} | {sums[0].cases} | {_cells(*sums)}{refusals_of_model} |")
    lines += ["", "| random sentences | number | refused by the grammar | refused by the vocabulary | accepted |", "|---" * 5 + "|"]
    refused: dict[str, dict[str, int]] = result["refusals"]  # type: ignore[assignment]
    total = {name: sum(row[name] for row in refused.values()) for name in next(iter(refused.values()), {})}
    lines += [f"| {kind} | {' | '.join(map(str, row.values()))} |" for kind, row in [*refused.items(), ("all", total)]]
    return "\n".join(lines)


def draw_examples(detector: Detector, path: Path) -> None:
    """Write a picture with the answers of the detector to one template of each suite and arrangement.

    Args:
        detector: the detector.
        path: PNG file to write.
    """
    examples = {(template.suite, template.arrangement): template for template in reversed(TEMPLATES)}
    images, captions = [], []
    for number, template in enumerate(reversed(examples.values())):
        case = make_cases(template, 1, 100 * number)[0]
        shot = case.arrangement.shot
        try:
            picture = draw_answer(shot.color, answer(case, detector))
        except InstructionError:
            picture = shot.color
        images.append((picture // _GRAY_LEVEL_STEP * _GRAY_LEVEL_STEP).astype(np.uint8))
        captions.append(case.text)
    write_png(path, contact_sheet(images, captions, columns=3))


def write(result: dict[str, object], folder: Path) -> None:
    """Write a result of `measure` as instructions.json and instructions.md.

    Args:
        result: the result.
        folder: output folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "instructions.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    (folder / "instructions.md").write_text(f"{table(result)}\n", encoding="utf-8")
