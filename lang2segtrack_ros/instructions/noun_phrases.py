# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One noun of a parsed instruction: its name in the singular, its quantity and its rank."""

from __future__ import annotations

from collections.abc import Mapping

from lark import Token, Tree

from lang2segtrack_ros.instructions.lexicon import ADJECTIVES, HEADS_IN_ED
from lang2segtrack_ros.instructions.nouns import has_one_form, is_plural, singular
from lang2segtrack_ros.instructions.plan import GENERIC, InstructionError, NounPhrase, Order, Quantity, Rank

MAX_NAME_WORDS = 4
"""Maximum number of words in the name of an object."""
MAX_NUMBER = 99
_GENERIC_HEAD = "object"


def noun_phrase(tree: Tree, antecedent: NounPhrase | None) -> NounPhrase:
    """Return the noun phrase of a `noun` of the grammar, without relations.

    Args:
        tree: the parsed noun.
        antecedent: the noun that "one" and "ones" stand for. None if there is none.

    Raises:
        InstructionError: the parts contradict each other, such as "every boxes", or "one" has no antecedent.
    """
    parts = {child.data if isinstance(child, Tree) else child.type: child for child in tree.children}
    words = [str(token) for token in parts["name"].children]
    noun, plural = _name(parts["name"].children, antecedent)
    count = {token.type: str(token) for token in parts["quantity"].children} if "quantity" in parts else {}
    if "ONE" in parts:
        count = {"NUMBER": "1"}
    shown = " ".join(words)
    rank, number = _rank(parts, shown)
    return NounPhrase(noun, _quantity(count, number, plural, rank is not None, shown), rank)


def is_adjective(tree: Tree) -> bool:
    """Return True if a noun of the grammar after "that is" is an adjective, such as "red": it has neither an article nor a plural."""
    names = [child for child in tree.children if isinstance(child, Tree)]
    return len(tree.children) == 1 and all(token.type == "NAME" for token in names[0].children) and not is_plural(names[0].children[-1])


def described(adjective: Tree, described_noun: NounPhrase) -> NounPhrase:
    """Return all objects of a noun that have an adjective.

    Args:
        adjective: the adjective, parsed as a noun.
        described_noun: the noun.
    """
    words = [str(token) for token in adjective.children[0].children]
    return NounPhrase(" ".join([*words, _head(described_noun)]), Quantity(None, False))


def _head(phrase: NounPhrase) -> str:
    return phrase.noun.split()[-1] if phrase.noun != GENERIC else _GENERIC_HEAD


def _name(tokens: list[Token], antecedent: NounPhrase | None) -> tuple[str, bool]:
    """Return the phrase for the detector, and True for a plural."""
    words, last = [str(token) for token in tokens], tokens[-1]
    if len(words) > MAX_NAME_WORDS:
        raise InstructionError(
            f'the grammar cannot read "{" ".join(words)}": a name has at most {MAX_NAME_WORDS} words, '
            "and words for a relation are among those of docs/instructions.md"
        )
    if last.type == "EVERYTHING":
        return GENERIC, True
    if last.type == "GENERIC":
        return (GENERIC if len(words) == 1 else " ".join([*words[:-1], _GENERIC_HEAD])), str(last).endswith("s")
    if last.type == "NAME":
        if words[-1] in ADJECTIVES or (words[-1].endswith("ed") and words[-1] not in HEADS_IN_ED):
            raise InstructionError(f'the grammar cannot read "{" ".join(words)}": "{words[-1]}" is no noun, so write the noun behind it')
        return " ".join([*words[:-1], singular(words[-1])]), is_plural(words[-1])
    if antecedent is None:
        raise InstructionError(f'the grammar cannot read "{last}": no noun stands before it, so write the name of the object')
    noun = antecedent.noun if len(words) == 1 else " ".join([*words[:-1], _head(antecedent)])
    return noun, last.type == "ONES"


def _whole(text: str) -> int:
    """Return a count of objects. Raise InstructionError if it is none."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_NUMBER:
        raise InstructionError(f'"{text}" is no number of objects: write a whole number from 1 to {MAX_NUMBER}')
    return int(text)


def _rank(parts: Mapping[str, Tree | Token], shown: str) -> tuple[Rank | None, int | None]:
    """Return the rank, and the number of objects that stands in it, such as 2 in "the largest two"."""
    tokens = {token.type: str(token) for token in parts["rank"].children} if "rank" in parts else {}
    side, place = parts.get("SIDE"), parts.get("PLACE")
    orders = [str(item) for item in (tokens.get("ORDER"), side, place) if item is not None]
    position = int(tokens.get("ORDINAL", "1"))
    if len(orders) > 1:
        raise InstructionError(f'"{shown}" has two orders, {" and ".join(orders).lower()}: name one of them')
    if "ORDINAL" in tokens and (not orders or place is not None):
        raise InstructionError(f'number {position} of "{shown}" needs an order: write "from the left" behind it, or "largest" before it')
    if side is not None and "ORDINAL" not in tokens:
        raise InstructionError(f'"{shown}" is counted from a side without a number: write "the second {shown} from the left"')
    if "ORDINAL" in tokens and "NUMBER" in tokens and position != 1:
        raise InstructionError(f'"{shown}" has an ordinal and a number: write "the first two {shown}", or one of the two')
    if not 1 <= position <= MAX_NUMBER:
        raise InstructionError(f'number {position} of "{shown}" is no place in an order: count from 1 to {MAX_NUMBER}')
    number = _whole(tokens["NUMBER"]) if "NUMBER" in tokens else None
    return (Rank(Order[orders[0]], position) if orders else None), number


def _quantity(count: Mapping[str, str], number: int | None, plural: bool, is_ranked: bool, shown: str) -> Quantity:
    """Return the quantity of a noun.

    Args:
        count: texts of the tokens before the noun by terminal.
        number: number of objects in the rank. None for none.
        plural: True for a noun in the plural.
        is_ranked: True if the noun has a rank.
        shown: the noun for messages.
    """
    if "NUMBER" in count:
        if number is not None:
            raise InstructionError(f'"{shown}" has two numbers: name one of them')
        number = _whole(count["NUMBER"])
    elif "ONE" in count:
        number = 1
    wants_plural = {"ALL", "BOTH", "OF"} & {*count}
    one_form = has_one_form(shown.split()[-1])
    wrong = plural and {"EVERY", "A"} & {*count}
    if wrong or (wants_plural and not plural and not one_form) or ((number or 1) > 1 and not plural and not one_form):
        raise InstructionError(f'the number of "{shown}" does not fit the word before it: write "every box", "a box" or "all boxes"')
    if is_ranked:
        if {"ALL", "BOTH", "EVERY", "A", "OF"} & {*count}:
            raise InstructionError(f'"{shown}" has an order, which chooses a number of objects: write "the largest" or "the two largest"')
        if plural and number is None:
            raise InstructionError(f'"{shown}" has an order, but no number of objects: write "the two largest {shown}"')
        return Quantity(number or 1)
    if "BOTH" in count:
        return Quantity(2)
    if number is not None:
        return Quantity(number, exact=("THE" in count or "ALL" in count) and "OF" not in count)
    if "A" in count:
        return Quantity(1, exact=False)
    return Quantity(None, exact=False) if plural or {"ALL", "EVERY"} & {*count} else Quantity(1)
