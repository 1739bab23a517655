# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Sentences and their plans; sentences that are refused, with the words that the message names."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lang2segtrack_ros.instructions import lexicon, words
from lang2segtrack_ros.instructions.grammar import _parser, read_instruction
from lang2segtrack_ros.instructions.plan import GENERIC, InstructionError, Order, Quantity, Relation
from lang2segtrack_ros.instructions.words import MAX_WORDS


def plan_lines(text: str) -> list[str]:
    """Return the lines of the only reading."""
    (plan,) = read_instruction(text)
    return [line.partition(": ")[2] for line in plan.lines()]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Mug", ['the only "mug"']),
        ("Please track the red mug.", ['the only "red mug"']),
        ("could you follow a box, please?", ['any 1 "box"']),
        ("all boxes", ['all "box"']),
        ("every one of the boxes", ['all "box"']),
        ("red boxes", ['all "red box"']),
        ("both knives", ['exactly 2 "knife"']),
        ("the two mugs", ['exactly 2 "mug"']),
        ("all 3 mugs", ['exactly 3 "mug"']),
        ("two of the red boxes", ['any 2 "red box"']),
        ("one of the buses", ['any 1 "bus"']),
        ("the scissors", ['the only "scissors"']),
        ("the second box from the left", ['the "box", number 2 by leftmost']),
        ("the third largest box", ['the "box", number 3 by largest']),
        ("the first two boxes from the top", ['the 2 "box", topmost']),
        ("the largest two boxes", ['the 2 "box", largest']),
        ("the cup on the left", ['the "cup", leftmost']),
        ("the cup on the left of the plate", ['the only "cup" left of the only "plate"']),
        ("the nearest box to the cup", ['the "box", nearest to the only "cup"']),
        ("the two boxes nearest to the cup", ['the 2 "box", nearest to the only "cup"']),
        ("the box second nearest to the cup", ['the "box", number 2 by nearest to the only "cup"']),
        ("the nearest box", ['the "box", nearest']),
        ("the cup in front of the box", ['the only "cup" in front of the only "box"']),
        ("cups closer than 1.5 m", ['all "cup" closer than 1.5 m']),
        ("cups farther than 80cm away", ['all "cup" farther than 0.8 m']),
        ("the cup closer than the plate", ['the only "cup" closer than the only "plate"']),
        ("the cup between the plate and a fork", ['the only "cup" between the only "plate" and any 1 "fork"']),
        ("the cup between the plates", ['the only "cup" between all "plate"']),
        ("the cups of the same colour as the plate", ['all "cup" of the same color as the only "plate"']),
        ("the cup that's on the table and isn't left of the box", None),
        ("the mug and the box", ['the only "mug"', 'the only "box"']),
        ("the mug, the box and a cup", ['the only "mug"', 'the only "box"', 'any 1 "cup"']),
        ("Red mug. Cardboard box.", ['the only "red mug"', 'the only "cardboard box"']),
        ("the mug left of the laptop, and the box", ['the only "mug" left of the only "laptop"', 'the only "box"']),
        ("everything on the table that is not a tool", ['all objects of any kind on the only "table" and not of the kind "tool"']),
        ("everything except the mug and the box", ['all objects of any kind, except the only "mug" and the only "box"']),
        ("all boxes but not the red one", ['all "box", except the only "red box"']),
        ("all boxes except the red one on the table", ['all "box", except (the only "red box" on the only "table")']),
        ("boxes that are not red", ['all "box" not of the kind "red box"']),
        ("boxes, not the red ones", ['all "box", except all "red box"']),
        ("the cup left of (the box on the table)", ['the only "cup" left of (the only "box" on the only "table")']),
        ("the cup left of the box and above the plate", ['the only "cup" left of the only "box" and above the only "plate"']),
        ("the cup that is left of a box and not above the plate", ['the only "cup" left of any 1 "box" and not above the only "plate"']),
    ],
)
def test_sentence_has_one_plan(text: str, lines: list[str] | None) -> None:
    """The plan is what users see, so its lines are the contract."""
    if lines is None:
        with pytest.raises(InstructionError):
            read_instruction(text)
    else:
        assert plan_lines(text) == lines


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("the cup on the box left of the mug", 2),
        ("the mug left of the laptop and the box", 2),
        ("the cup on the box left of the mug above the fork", 5),
        ("the cup and the plate on the tray", 2),
        ("the cup, the fork and the plate that are on the tray", 2),
        ("the cup, the plate on the tray", 1),
        ("the cup on the tray, and the plate on the box", 1),
        ("the cup and the plate nearest to the tray", 1),
    ],
)
def test_sentence_has_all_its_readings(text: str, count: int) -> None:
    """A relation may belong to each noun on the path, which gives the Catalan numbers."""
    assert len(read_instruction(text)) == count


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no object"),
        ("  ... !", "names no object"),
        ("the cup he just put down", 'cannot read "he" after "the cup"'),
        ("the star that was behind the pillar", 'cannot read "that" after "the star"'),
        ("the man holding a cup", 'cannot read "holding"'),
        ("the tallest cup", 'cannot read "tallest"'),
        ("the cup left of", 'ends after "the cup left of": the grammar reads a name'),
        ("the", 'ends after "the"'),
        ("the the cup", 'cannot read "the" after "the"'),
        ("left of the cup", 'cannot read "left of" at the beginning'),
        ("the cup left of itself", "no object has a relation to itself"),
        ("der Becher links vom Teller", "reads English only"),
        ("la tasse à gauche de la table", "reads English only"),
        ("杯子在桌子上", "reads English only"),
        ("second box", 'write "from the left" behind it'),
        ("the box from the left", "without a number"),
        ("the largest boxes", 'write "the two largest boxes"'),
        ("every boxes", "does not fit"),
        ("all box", "does not fit"),
        ("two box", "does not fit"),
        ("0 boxes", "no number of objects"),
        ("1.5 boxes", "no number of objects"),
        ("the leftmost largest box", 'cannot read "largest"'),
        ("the largest box on the left", "two orders"),
        ("all boxes nearest to the cup", "finds no noun that takes"),
        ("the box and left of the cup", "finds no noun that takes"),
        ("the box between the cup", '"between" needs two objects'),
        ("one", "no noun stands before it"),
        ("the one on the table", "no noun stands before it"),
        ("the very small shiny metal box", "cannot read"),
        ("the small shiny blue metal box", "at most 4 words"),
        ("the cup and the plate that are red", "write it behind each noun"),
        ("the red and blue boxes", '"red" is no noun'),
        ("the yellow box jumped", '"jumped" is no noun'),
        ("the cup left of (the box, the plate)", "parentheses hold one noun"),
        ("the cup)", 'cannot read ")"'),
        ("the box that is the largest plate", '"that is" takes no order'),
        ("everything that is not one", '"that is" takes no "object" or "one"'),
        (" ".join(["cup left of the"] * 30), f"at most {MAX_WORDS}"),
        ("the cup on the box left of the mug above the fork in the tray on the desk", "group with parentheses"),
    ],
)
def test_sentence_is_refused_with_its_words(text: str, message: str) -> None:
    """Whoever reads the message knows which word to change."""
    with pytest.raises(InstructionError) as raised:
        read_instruction(text)
    assert message in str(raised.value)


def test_longest_sentence_is_refused_soon() -> None:
    """A text of 60 words and many readings must not block the caller."""
    began = time.monotonic()
    with pytest.raises(InstructionError):
        read_instruction("the cup " + "on the box " * 19)
    assert time.monotonic() - began < 1.0


_VOCABULARY = sorted({word for phrases in lexicon.TERMINALS.values() for phrase in phrases for word in phrase.split()})
_VOCABULARY += [
    "left",
    "right",
    "of",
    "on",
    "nearest",
    "second",
    "2nd",
    "3",
    "1.5",
    "m",
    "same",
    "color",
    "as",
    "cup",
    "boxes",
    "red",
    "was",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(_VOCABULARY), max_size=14))
def test_any_order_of_words_is_read_or_refused(chosen: list[str]) -> None:
    """No order of words raises anything else, and each plan can be printed."""
    with suppress(InstructionError):
        assert all(plan.lines() for plan in read_instruction(" ".join(chosen)))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Texts come from users and from the network."""
    with suppress(InstructionError):
        assert read_instruction(text)


def test_grammar_has_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    """Lark would resolve a conflict of the grammar by itself, which is a silent guess."""
    caplog.set_level(logging.DEBUG, logger=lark.logger.name)
    source = _parser().source_grammar
    lark.Lark(source, parser="lalr", lexer=words.WordLexer, debug=True)
    assert "conflict" not in caplog.text.lower()


def test_no_word_of_the_lexicon_is_unknown_to_the_message() -> None:
    """The message lists what the grammar reads instead, so each terminal needs words for it."""
    silent = {"POLITE", "ITSELF", "AWAY"}
    assert {terminal.name for terminal in _parser().terminals} - silent <= {*lexicon.EXAMPLES}


def test_plan_is_data() -> None:
    """Callers use the plan, not only its text."""
    (plan,) = read_instruction("the two largest objects left of the star")
    (target,) = plan.targets
    assert (target.noun, target.quantity) == (GENERIC, Quantity(2))
    assert target.rank is not None
    assert target.rank.order is Order.LARGEST
    assert target.conditions[0].relation is Relation.LEFT_OF
    assert plan.nouns == (GENERIC, "star")
