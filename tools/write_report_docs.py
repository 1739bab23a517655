#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write the table of the JSON fields in docs/report.md from the model of the report."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from lang2segtrack_ros.recordings.quality.document import CurvePoint, FindingEntry, LabelEntry, ReportDocument, TrackEntry

PAGE = Path(__file__).resolve().parent.parent / "docs" / "report.md"
START, END = "<!-- fields: make docs writes them -->\n", "<!-- end of fields -->"
PARTS: tuple[tuple[str, type[BaseModel]], ...] = (
    ("", ReportDocument),
    ("findings[].", FindingEntry),
    ("labels[].", LabelEntry),
    ("tracks[].", TrackEntry),
    ("tracks[].curve[].", CurvePoint),
)


def table() -> str:
    """Return the table as Markdown."""
    rows = [f"| `{prefix}{name}` | {item.description} |\n" for prefix, model in PARTS for name, item in model.model_fields.items()]
    return "| field | content |\n|---|---|\n" + "".join(rows)


def with_table(page: str) -> str:
    """Return a page with the current table between its two markers."""
    before, rest = page.split(START)
    return f"{before}{START}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
