# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Division of an instruction into the terminals of the grammar."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lark import Token
from lark.lexer import Lexer

from lang2segtrack_ros.instructions import lexicon

MAX_WORDS = 60
"""Maximum number of words in an instruction."""
UNREAD = "UNREAD"
"""Terminal of a word that the grammar never reads."""
_WORD = re.compile(r"\d+(?:[.,]\d+)?(?:st|nd|rd|th)?(?![.,]?\d)|[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\S")


def _enum_phrases(terminal: str, table: Mapping[Any, Sequence[str]]) -> dict[tuple[str, ...], tuple[str, str]]:
    return {tuple(phrase.split()): (terminal, value.name) for value, phrases in table.items() for phrase in phrases}


def _keywords() -> dict[tuple[str, ...], tuple[str, str]]:
    """Return the words of each phrase -> its terminal and its value."""
    words = {tuple(phrase.split()): (name, phrase) for name, phrases in lexicon.TERMINALS.items() for phrase in phrases}
    for terminal, table in (
        ("RELATION", lexicon.RELATIONS),
        ("DISTANCE", lexicon.DISTANCES),
        ("ORDER_TO", lexicon.ORDERS_TO),
        ("ORDER", lexicon.ORDERS),
        ("SIDE", lexicon.SIDES),
        ("PLACE", lexicon.PLACES),
    ):
        words |= _enum_phrases(terminal, table)
    for terminal, numbers in (("NUMBER", lexicon.NUMBERS), ("ORDINAL", lexicon.ORDINALS), ("UNIT", lexicon.UNITS)):
        words |= {(word,): (terminal, str(number)) for word, number in numbers.items()}
    return words


_KEYWORDS = _keywords()
_LONGEST = max(map(len, _KEYWORDS))


def split_words(text: str) -> list[str]:
    """Return the words, numbers and punctuation marks of a text in lower case, without contractions and without marks at its end."""
    words = []
    for word in _WORD.findall(text.lower().replace("\u2019", "'")):
        words += lexicon.CONTRACTIONS.get(word, word).split()
    while words and words[-1] in (".", "!", "?"):
        words.pop()
    if words[-1:] == ["please"]:
        words.pop()
        if words[-1:] == [","]:
            words.pop()
    return words


def _is_name(word: str) -> bool:
    """Return True if a word may be part of the name of an object."""
    if not (word.isascii() and word[0].isalpha()) or word in lexicon.UNREAD or word in lexicon.FOREIGN:
        return False
    return all(
        not word.endswith(ending) or word in names
        for ending, names in (("ing", lexicon.NAMES_IN_ING), ("ly", lexicon.NAMES_IN_LY), ("est", lexicon.NAMES_IN_EST))
    )


def _single(word: str) -> tuple[str, str]:
    """Return terminal and value of a word that begins no phrase of the lexicon."""
    ordinal = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", word)
    if ordinal:
        return "ORDINAL", ordinal[1]
    if re.fullmatch(r"\d+(?:[.,]\d+)?", word):
        return "NUMBER", word.replace(",", ".")
    return ("NAME" if _is_name(word) else UNREAD), word


def tokens(words: Sequence[str]) -> Iterator[Token]:
    """Yield the terminals of the words of an instruction. The longest phrase of the lexicon wins.

    The value of a token is the name of a relation or an order, a number, or the words themselves. Its line is 1, and its column is the
    position of its first word, from 0.
    """
    position = 0
    while position < len(words):
        for length in range(min(_LONGEST, len(words) - position), 0, -1):
            found = _KEYWORDS.get(tuple(words[position : position + length]))
            if found is not None:
                break
        else:
            length, found = 1, _single(words[position])
        yield Token(found[0], found[1], line=1, column=position, end_column=position + length)
        position += length


class WordLexer(Lexer):  # type: ignore[misc]  # Lark is not typed
    """The lexer of the grammar, in the form that Lark asks for. It takes the words of `split_words`."""

    def __init__(self, lexer_conf: object) -> None:
        pass

    def lex(self, data: Sequence[str]) -> Iterator[Token]:
        """Yield the terminals; see `tokens`."""
        yield from tokens(data)
