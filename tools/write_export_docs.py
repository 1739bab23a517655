#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write the table of docs/exports.md from the registry of formats."""

from __future__ import annotations

from pathlib import Path

from lang2segtrack_ros.io.exports.registry import FORMATS
from lang2segtrack_ros.io.imports.registry import READERS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "exports.md"
START, END = "<!-- table: make docs writes it -->\n", "<!-- end of table -->"


def table() -> str:
    """Return the table as Markdown."""
    header = "| format | holds | files | opened by | import |\n|---|---|---|---|---|\n"
    rows = (
        f"| `{item.name}` | {item.content} | {item.files} | {item.readers} | {'yes' if item.name.partition('-')[0] in READERS else ''} |\n"
        for item in FORMATS.values()
    )
    return header + "".join(rows)


def with_table(page: str) -> str:
    """Return a page with the current table between its two markers."""
    before, rest = page.split(START)
    return f"{before}{START}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
