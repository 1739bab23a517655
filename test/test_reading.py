# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""README and docs stay easy to read: short sentences that start with their subject."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_reading import LONGEST_WORDS, count_words, pages, read_page


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_page_follows_the_rules(path: Path) -> None:
    """Most readers read English as their second language."""
    page = read_page(path.read_text(encoding="utf-8"), path.name)
    print(f"{page.name}: {len(page.sentences)} sentences, {page.mean:.1f} words on average, {count_words(page.longest)} at most")
    assert not list(page.problems())


def test_a_long_sentence_is_found() -> None:
    """The check would otherwise pass on anything."""
    page = read_page(f"Short one. Word {'word ' * LONGEST_WORDS}. Short again.", "page")
    assert [line for line in page.problems() if f"{LONGEST_WORDS + 1} words" in line]


@pytest.mark.parametrize("text", ["What it does is simple.", "- Whether it fits is checked.", "| cell | Who asks gets it. |"])
def test_a_free_relative_at_the_start_is_found(text: str) -> None:
    """Such sentences have to be read twice."""
    assert [line for line in read_page(text, "page").problems() if "starts with" in line]


def test_questions_headings_and_code_are_left_out() -> None:
    """A question may start with what; code has no sentences."""
    page = read_page("## What it does\n\nWhat is a track?\n\n```bash\nwhat " + "x " * 60 + "\n```\n", "page")
    assert not list(page.problems())
    assert page.sentences == ["What is a track?"]
