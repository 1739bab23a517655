# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The field's words are used: a reader greps for "association", "occlusion" or "re-identification" and finds the code.

The lists hold words of the first edition that no reader of the field knows, and British spellings, because identifiers are American.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lang2segtrack_ros.ros.support.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("lang2segtrack_ros", "training", "bench", "tools", "launch", "test")
OLD_PARTS = frozenset(
    [
        "appetite",
        "astray",
        "coat",
        "coats",
        "doubt",
        "doubted",
        "doubts",
        "elsewhere",
        "learnt",
        "meeting",
        "meetings",
        "memorise",
        "orphan",
        "orphans",
        "recalled",
        "reseat",
        "reunite",
        "sharing",
        "sight",
        "sights",
        "slipped",
        "speck",
        "specks",
        "starved",
        "starving",
        "stranger",
        "strangers",
        "suit",
        "tighten",
        "tint",
        "tints",
        "told",
        "unremembered",
        "vitals",
        "worn",
    ]
)
"""Words that may be no part of an identifier, such as `slipped` in `is_slipped`."""
OLD_NAMES = frozenset(
    [
        "Coat",
        "DetectionAnswer",
        "FollowingSubscription",
        "LifeCycle",
        "Meetings",
        "Placement",
        "Proposal",
        "Proposed",
        "Proposer",
        "Question",
        "Recalled",
        "Wanted",
        "arbitration",
        "confirm_looks",
        "cut_correlation",
        "doubt_after_s",
        "drift_looks",
        "look_around",
        "looked",
        "looks",
        "min_part",
        "out_of_memory_step",
        "replaces",
        "same_appearance",
        "seat",
        "share_out",
        "shared_out",
        "slack",
        "step_down",
        "stepped_down",
        "tell_apart",
        "trust",
    ]
)
"""Whole identifiers that have another name now."""
BRITISH = re.compile(
    r"(?i)(colour|\bgrey|centre|neighbour|behaviour|licence|labell(?:ed|ing)|\b(?:milli|centi|kilo)?metres?\b|"
    r"(?:normal|recogn|synchron|initial|optim|summar|general|minim|maxim)is(?:e|ing|ation))"
)
OLD_PHRASES = re.compile(
    r"(?i)\b(the way back|meetings?|doubt(?:s|ed)?|strangers?|looks? of the detector|images a second|specks?|shar(?:e|ed|ing) out|"
    r"t(?:old|ell) apart|astray|learnt|whose pixels|slipped|vitals|starved|appetite|orphans?|coats?|tints?)\b"
)


def sources() -> list[Path]:
    """Python files of the repository."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Names that the file itself gives: of functions, classes, arguments, variables and attributes it sets."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def old_words(name: str) -> list[str]:
    """Old words in an identifier."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
    found = [part for part in parts if part.lower() in OLD_PARTS]
    if name.strip("_") in OLD_NAMES:
        found.append(name)
    return found + [match.group() for match in BRITISH.finditer(name.replace("_", " "))]


def test_no_identifier_has_an_old_word() -> None:
    """One old name invites the next."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if old_words(name)
    }
    assert not found


def test_no_parameter_has_an_old_word() -> None:
    """Parameters and their texts are what users read first."""
    assert not [item.name for item in PARAMETERS if old_words(item.name) or OLD_PHRASES.search(item.description)]


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name)
def test_no_page_has_an_old_word(path: Path) -> None:
    """Docs use the words of the code."""
    text = path.read_text(encoding="utf-8")
    found = [match.group() for match in (*OLD_PHRASES.finditer(text), *BRITISH.finditer(text))]
    assert not found


@pytest.mark.parametrize("name", ["was_slipped", "tell_apart", "_Coat", "colour_of", "Meetings", "centre"])
def test_an_old_word_is_found(name: str) -> None:
    """The lists would otherwise pass on anything."""
    assert old_words(name)


@pytest.mark.parametrize("name", ["parameters", "resolve_crossings", "color_model", "center", "perimeter", "holder"])
def test_a_word_of_the_field_is_not_found(name: str) -> None:
    """A check that cries wolf is switched off."""
    assert not old_words(name)
