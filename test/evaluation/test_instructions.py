# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The instruction suites: accuracy on true boxes, refusals, and a bench that can tell a wrong answer from a right one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.chat_server import ChatServer, Seen
from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.evaluation.instruction_templates import TEMPLATES, Template
from lang2segtrack_ros.evaluation.instructions import Score, TrueDetector, make_cases, measure, refusals, score, table, write
from lang2segtrack_ros.instructions.vlm.factory import make_vlm_resolver
from lang2segtrack_ros.toyworld.arrangements import ARRANGEMENTS, make_arrangement
from test.instructions.vlm.toy_answers import true_answer


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


def test_vision_language_model_is_measured(tmp_path: Path) -> None:
    """A model that knows the truth has full marks. An answer that cannot be used is a refusal, and lowers the recall only."""
    templates = [TEMPLATES[0], TEMPLATES[1]]
    known, refused = (make_cases(template, 2, 7000) for template in templates)
    truths = {case.text: [item for item in case.arrangement.items if item.number in case.truth] for case in known}

    def reply(seen: Seen) -> str:
        text = json.loads(seen.text.splitlines()[0].partition("means: ")[2])
        return true_answer(truths[text])(seen) if text in truths else "I cannot see that."

    server = ChatServer([reply])
    resolver = make_vlm_resolver(server.options(vlm_answer_format="pixels"))
    lines: list[str] = []
    result = measure(None, 2, 7000, 0, lines.append, templates, resolver)
    objects = sum(case.wanted for case in known)
    rows: list[dict[str, object]] = result["templates"]  # type: ignore[assignment]
    assert Score(**rows[0]["vlm"]) == Score(2, objects, objects, objects, 0)  # type: ignore[arg-type]
    assert Score(**rows[1]["vlm"]) == Score(2, 0, 0, sum(case.wanted for case in refused), 2)  # type: ignore[arg-type]
    assert lines[0].endswith("nan | nan | 1.000 | 1.000 | 0")
    assert lines[1].endswith(" | 2")
    assert result["vlm"] == resolver.name
    write(result, tmp_path)
    head, _, suite, *_ = (tmp_path / "instructions.md").read_text().splitlines()
    assert head.endswith("| precision, VLM | recall, VLM | refused, VLM |")
    assert suite.startswith("| relations | 2 | 4 | 1.000 | 1.000 |")
    assert suite.endswith(" | 2 |")
    assert len(server.seen) == 6, "the answers that cannot be used were asked for again"
    resolver.close()
    server.close()


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
