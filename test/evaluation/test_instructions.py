# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The instruction suites: accuracy on true boxes, refusals, and a bench that can tell a wrong answer from a right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.evaluation.instruction_templates import TEMPLATES, Template
from lang2segtrack_ros.evaluation.instructions import Score, TrueDetector, make_cases, measure, refusals, score, table, write
from lang2segtrack_ros.toyworld.arrangements import ARRANGEMENTS, make_arrangement


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda item: f"{item.suite}: {item.text}")
def test_true_boxes_give_the_true_objects(template: Template) -> None:
    """Grammar and geometry make no error where the truth is clear."""
    (case, *_) = make_cases(template, 1, 7000)
    objects = template.wanted or len(case.truth)
    assert score(case, TrueDetector(case.arrangement)) == Score(1, objects, objects, objects)


def test_random_sentences_are_refused(detector: GroundingDinoDetector) -> None:
    """A sentence that is not understood must not choose anything."""
    counts = refusals(detector, 500)
    assert sum(row["sentences"] for row in counts.values()) == 500
    assert not any(row["accepted"] for row in counts.values())
    assert sum(row["grammar"] for row in counts.values()) > 400


def test_wrong_answers_lower_the_scores() -> None:
    """A bench that gives every answer full marks measures nothing."""
    case, other = make_cases(TEMPLATES[0], 2, 7000)
    assert score(case, TrueDetector(other.arrangement)).correct == 0


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_arrangements_are_repeatable(name: str) -> None:
    """A seed names a scene on every machine."""
    one, two = make_arrangement(name, 3), make_arrangement(name, 3)
    assert one.items == two.items
    assert (one.shot.color == two.shot.color).all()
    assert len(one.items) >= 3


def test_report(tmp_path: Path) -> None:
    """The table has a row for each suite and kind of sentence, and for all."""
    result = measure(None, 1, 7000, 8, print, [TEMPLATES[0], TEMPLATES[1], TEMPLATES[-1]])
    write(result, tmp_path)
    text = (tmp_path / "instructions.md").read_text()
    assert text == f"{table(result)}\n"
    assert "| relations | 2 | 2 | 1.000 | 1.000 | nan | nan |" in text
    assert "| all | 3 | 4 | 1.000" in text
    assert "| all | 8 | " in text


def test_all_suites_are_there() -> None:
    """The suites cover what the grammar reads."""
    assert len(TEMPLATES) >= 40
    assert {template.suite for template in TEMPLATES} >= {"relations", "ordinals", "negation", "counting", "attributes", "change over time"}
