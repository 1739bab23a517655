#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write the tables of docs/instructions.md and docs/vlm.md: words of the grammar, options of the model, and measured results.

python tools/write_instruction_docs.py                              # the words and the options
lang2segtrack bench instructions && python tools/write_instruction_docs.py out/bench   # the words, the results and the picture
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from lang2segtrack_ros.instructions import lexicon
from lang2segtrack_ros.instructions.vlm.options import VlmOptions
from lang2segtrack_ros.types.options import info_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "instructions.md"
VLM_PAGE = PAGE.with_name("vlm.md")
OPTIONS = "options: make docs writes this table"
WORDS, RESULTS = "words: make docs writes this table", "results: tools/write_instruction_docs.py writes these tables"


def _row(part: str, phrases: Iterable[str]) -> str:
    phrases = [phrase for phrase in phrases if not re.search("colour|metre", phrase)]  # pages have American spelling
    return f"| {part} | {', '.join(f'`{phrase}`' for phrase in phrases)} |"


def words_table() -> str:
    """Return the table of all phrases as Markdown."""
    terminals = lexicon.TERMINALS
    rows = [
        _row("before the sentence", terminals["POLITE"]),
        _row("one object", (*terminals["THE"], *terminals["A"], *terminals["ONE"])),
        _row("all objects", (*terminals["ALL"], *terminals["EVERY"], *terminals["BOTH"])),
        _row("objects of any kind", (*terminals["EVERYTHING"], *terminals["GENERIC"])),
        _row("numbers", (*lexicon.NUMBERS, "2", "3")),
        _row("ordinals", (*lexicon.ORDINALS, "2nd")),
        *(_row(f"relation: {relation.value}", phrases) for relation, phrases in lexicon.RELATIONS.items()),
        _row("relation: between", terminals["BETWEEN"]),
        *(_row(f"distance: {relation.value}", phrases) for relation, phrases in lexicon.DISTANCES.items()),
        _row("units", lexicon.UNITS),
        *(_row(f"order: {order.value}", phrases) for order, phrases in lexicon.ORDERS.items()),
        *(_row(f"order with a reference: {order.value}", phrases) for order, phrases in lexicon.ORDERS_TO.items()),
        *(_row(f"after an ordinal: {order.value}", phrases) for order, phrases in lexicon.SIDES.items()),
        *(_row(f"after a singular: {order.value}", phrases) for order, phrases in lexicon.PLACES.items()),
        _row("clause", (*terminals["THAT_IS"], *terminals["NOT"])),
        _row("exception", terminals["EXCEPT"]),
        _row("further objects", (*terminals["AND"], *terminals["COMMA"])),
    ]
    return "\n".join(["| part | words |", "|---|---|", *rows])


def options_table() -> str:
    """Return the table of the options of vision-language models as Markdown."""
    rows = ["| option | default | allowed | effect |", "|---|---|---|---|"]
    for item in fields(VlmOptions):
        info = info_of(item)
        choices = ", ".join(f"`{choice}`" for choice in info.choices)
        allowed = choices or (f"{info.low:g} to {info.high:g}" if info.low is not None and info.high is not None else "")
        default = f"`{item.default}`" if item.default != "" else ""
        rows.append(f"| `--{item.name.replace('_', '-')}` | {default} | {allowed} | {info.text} |")
    return "\n".join(rows)


def with_table(page: str, marker: str, table: str) -> str:
    """Return a page with a table between the two comments of a marker.

    Args:
        page: the page.
        marker: text of the first comment.
        table: the table.
    """
    before, rest = page.split(f"<!-- {marker} -->\n")
    end = "<!-- end of table -->"
    return f"{before}<!-- {marker} -->\n\n{table}\n\n{end}{rest.partition(end)[2]}"


def main(arguments: Sequence[str]) -> None:
    """Write the pages."""
    VLM_PAGE.write_text(with_table(VLM_PAGE.read_text(encoding="utf-8"), OPTIONS, options_table()), encoding="utf-8")
    page = with_table(PAGE.read_text(encoding="utf-8"), WORDS, words_table())
    if arguments:
        folder = Path(arguments[0])
        page = with_table(page, RESULTS, (folder / "instructions.md").read_text(encoding="utf-8").strip())
        (PAGE.parent / "images" / "instructions.png").write_bytes((folder / "instructions.png").read_bytes())
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
