# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The reader of instructions: a sentence in, its plans out, or the words that the grammar cannot read.

Lark (LALR) parses the words by `grammar.lark`. A sentence is read whole or not at all.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from lark import Lark, Token, UnexpectedToken

from lang2segtrack_ros.instructions import lexicon, readings
from lang2segtrack_ros.instructions.plan import InstructionError, Plan
from lang2segtrack_ros.instructions.words import MAX_WORDS, UNREAD, WordLexer, split_words

_SHOWN_WORDS = 4


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8"), parser="lalr", lexer=WordLexer)


@lru_cache(maxsize=64)
def read_instruction(text: str) -> tuple[Plan, ...]:
    """Return the readings of an instruction, at least one.

    Args:
        text: the sentence.

    Raises:
        InstructionError: the grammar does not read the sentence. The message names the words and what the grammar reads in their place.
    """
    words = split_words(text)
    if not words:
        raise InstructionError('the instruction names no object: write a sentence, such as "the mug left of the laptop"')
    if len(words) > MAX_WORDS:
        raise InstructionError(f"the instruction has {len(words)} words; the grammar reads at most {MAX_WORDS}: give several instructions")
    try:
        tree = _parser().parse(words)  # the lexer takes words instead of text
    except UnexpectedToken as error:
        raise InstructionError(_explain(error.token, words, error.expected)) from None
    return readings.plans(tree.children[-1])


def _explain(token: Token, words: list[str], expected: set[str]) -> str:
    """Return the sentence on a word that the grammar cannot read.

    Args:
        token: the token.
        words: the words of the instruction.
        expected: terminals that the grammar reads in its place.
    """
    hidden = set() if "(" in words else {"CLOSE"}
    reads = ", ".join(text for name, text in lexicon.EXAMPLES.items() if name in expected - hidden)
    if token.type == "$END":
        return f'the instruction ends after "{_shown(words)}": the grammar reads {reads} there'
    before = words[: token.column]
    place = f' after "{_shown(before)}"' if before else " at the beginning"
    word = " ".join(words[token.column : token.end_column])
    foreign = token.type == UNREAD and (word in lexicon.FOREIGN or not word.isascii())
    hint = "; it reads English only" if foreign else ""
    return f'the grammar cannot read "{word}"{place}{hint}. It reads {reads} there; docs/instructions.md has all words'


def _shown(words: list[str]) -> str:
    return f"{'... ' if len(words) > _SHOWN_WORDS else ''}{' '.join(words[-_SHOWN_WORDS:])}"
