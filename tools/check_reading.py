#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Measures how easy README and docs are to read.

Rules: a page's sentences have at most 16 words on average and 32 at most. Outside headings and questions, no sentence starts with
"What", "Who", "Whose" or "Whether". Code, link targets and HTML are left out. Table cells count for the last two rules only: many are
single words and would hide long sentences in the mean.

    python tools/check_reading.py            # every page
    python tools/check_reading.py README.md  # some pages
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEAN_WORDS = 16.0
LONGEST_WORDS = 32
FORBIDDEN_STARTS = ("what", "who", "whose", "whether")
_ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|etc|vs|cf|al|Fig|No|approx)\.", re.IGNORECASE)


@dataclass
class Page:
    """The sentences of one page.

    Attributes:
        name: path below the repository's root.
        sentences: of paragraphs and list items.
        cells: sentences of table cells.
    """

    name: str
    sentences: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Words of a sentence, on average; 0 for a page without sentences."""
        return sum(map(count_words, self.sentences)) / len(self.sentences) if self.sentences else 0.0

    @property
    def longest(self) -> str:
        """The longest sentence, empty for a page without any."""
        return max((*self.sentences, *self.cells), key=count_words, default="")

    def problems(self) -> Iterator[str]:
        """One line for each broken rule."""
        if self.mean > MEAN_WORDS:
            yield f"{self.name}: {self.mean:.1f} words in a sentence on average; at most {MEAN_WORDS:g}"
        for sentence in (*self.sentences, *self.cells):
            if count_words(sentence) > LONGEST_WORDS:
                yield f"{self.name}: {count_words(sentence)} words, at most {LONGEST_WORDS}: {sentence}"
            first = re.match(r"\W*(\w+)", sentence)
            if first and first.group(1).lower() in FORBIDDEN_STARTS and not sentence.endswith("?"):
                yield f"{self.name}: starts with {first.group(1)}: {sentence}"


def count_words(sentence: str) -> int:
    """Count the words of a sentence; a piece of code, a path or a number is one word."""
    return len([word for word in sentence.split() if re.search(r"\w", word)])


def read_page(text: str, name: str = "") -> Page:
    """Split a Markdown page into sentences."""
    page = Page(name)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^(```|~~~).*?^\1\s*$", "\n", text, flags=re.DOTALL | re.MULTILINE)
    for block in _blocks(text):
        if block.startswith("|"):
            page.cells += [sentence for cell in block.strip("|").split("|") for sentence in split_sentences(cell)]
        else:
            page.sentences += split_sentences(block)
    return page


def _blocks(text: str) -> Iterator[str]:
    """Paragraphs, list items and table rows, each in one line; headings are left out."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        item = re.match(r"\s*([*+-]|\d+\.)\s+", line)
        heading = line.startswith("#")
        row = line.lstrip().startswith("|")
        if not line.strip() or item or heading or row:
            if block:
                yield " ".join(block)
            block = []
        if row and not re.fullmatch(r"[\s|:-]+", line):
            yield re.sub(r"\\\|", "/", line.strip())
        elif line.strip() and not heading and not row:
            block.append(line[item.end() :].strip() if item else line.strip())


def split_sentences(text: str) -> list[str]:
    """Split text into sentences; code counts as one word."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"<[^>]+>", "", text)
    text = re.sub(r"[*_]{1,3}(\S.*?\S|\S)[*_]{1,3}", r"\1", text)
    text = _ABBREVIATIONS.sub(r"\1", text)
    parts = re.split(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[A-Z0-9])|(?<=[.!?])\s+(?=code\b)", text.strip())
    return [part.strip() for part in parts if re.search(r"\w", part)]


def pages() -> list[Path]:
    """README and every page below docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def main(names: Sequence[str]) -> int:
    """Print figures of each page and the broken rules; 1 when there are any."""
    problems: list[str] = []
    print(f"{'page':28} {'sentences':>9} {'mean':>6} {'longest':>8}")
    for path in [Path(name) for name in names] or pages():
        page = read_page(path.read_text(encoding="utf-8"), path.name)
        print(f"{page.name:28} {len(page.sentences):9} {page.mean:6.1f} {count_words(page.longest):8}")
        problems += page.problems()
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
