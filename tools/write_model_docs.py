#!/usr/bin/env python3
# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Write the table of docs/models.md from the catalog and the table of families."""

from __future__ import annotations

from pathlib import Path

from lang2segtrack_ros.models.catalogue import CHECKPOINTS, Checkpoint
from lang2segtrack_ros.models.families import ABILITIES, family_named

PAGE = Path(__file__).resolve().parent.parent / "docs" / "models.md"
START, END = "<!-- table: make docs writes it -->\n", "<!-- end of table -->"
_COMPUTED_SIZES = ("mm-grounding-dino", "edgetam", "sam3", "sam3-tracker")


def _row(item: Checkpoint) -> str:
    family = family_named(item.kind, item.family)
    abilities = ", ".join(name for name in ABILITIES if name in family.abilities)
    needs = f"`{family.extra}`" if family.extra else ""
    license_text = f"{item.license}, to accept as `{item.restriction.accept}`" if item.restriction else item.license
    size = f"≈ {item.megabytes}" if item.family in _COMPUTED_SIZES else str(item.megabytes)
    hub = f"[{item.hub_id}](https://huggingface.co/{item.hub_id})"
    return f"| `{item.name}` | {item.kind} | {abilities} | {license_text} | {size} | {needs} | {hub} |"


def table() -> str:
    """Return the table as Markdown."""
    header = "| name | kind | abilities | license | MB | needs | hub id |\n|---|---|---|---|---|---|---|\n"
    return header + "".join(f"{_row(item)}\n" for item in sorted(CHECKPOINTS, key=lambda item: item.kind))


def with_table(page: str) -> str:
    """Return a page with the current table between its two markers."""
    before, rest = page.split(START)
    return f"{before}{START}{table()}{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
