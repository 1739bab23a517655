# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Markdown tables and figure of an accuracy report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

IDENTITY_COLUMNS = ("hidden_empty", "IDF1", "HOTA", "switches_per_1000", "found_again")
PROMPTED_COLUMNS = ("J_objects", *IDENTITY_COLUMNS, "J&F", "visible_empty", "center_correct", "extent_correct", "objects", "returns")
TEXT_COLUMNS = (
    "J_objects",
    *IDENTITY_COLUMNS,
    "false_tracks",
    "found_in_15",
    "mean_wait",
    "J&F",
    "label_correct",
    "longest_stray",
    "objects",
    "returns",
)
FALSE_ALARM_COLUMNS = ("false_per_clip", "false_tracks", "false_frames", "absent_names", "J_objects", "IDF1", "switches_per_1000")


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}".removesuffix(".000") if isinstance(value, float) else str(value)


def _rows(first_columns: Sequence[str], columns: Sequence[str], rows: Iterable[tuple[Sequence[str], Mapping[str, float]]]) -> list[str]:
    """Return the lines of one table.

    Args:
        first_columns: headers of the names of a row.
        columns: names of the scores.
        rows: names and scores of each row.
    """
    lines = ["| " + " | ".join([*first_columns, *columns]) + " |", "|---" * (len(first_columns) + len(columns)) + "|"]
    lines += ["| " + " | ".join([*names, *(_cell(scores[name]) for name in columns)]) + " |" for names, scores in rows]
    return [*lines, ""]


def table(report: dict[str, Any]) -> str:
    """Return a report as Markdown."""
    size = f", {report['size'][0]} x {report['size'][1]}" if report.get("size") else ", every other one in 16:9"
    lines = [
        "# Accuracy on the toy suites",
        "",
        f"{report['clips']} clips of each suite, seeds from {report['first_seed']}{size}.",
        "",
    ]
    if report["detector"]:
        names = list(next(iter(report["detector"].values())))
        lines += ["## Detector on single pictures", "", *_rows([""], names, (((kind,), row) for kind, row in report["detector"].items()))]
    for section, title, method, columns in (
        ("prompted", "Prompted by a ground-truth box", "method", PROMPTED_COLUMNS),
        ("text", "Prompted by text", "policy", TEXT_COLUMNS),
        ("false_alarms", "False tracks of text prompts", "condition", FALSE_ALARM_COLUMNS),
    ):
        if report[section]:
            rows = (((suite, name), scores) for suite, methods in report[section].items() for name, scores in methods.items())
            lines += [f"## {title}", "", *_rows(["suite", method], columns, rows)]
    return "\n".join(lines)


def picture(prompted: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path) -> None:
    """Write a bar chart of J&F per suite and method.

    Args:
        prompted: scores by suite and method.
        path: image file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    suites = list(prompted)
    methods = list(next(iter(prompted.values())))
    figure, axes = pyplot.subplots(figsize=(1.1 * len(suites) + 2, 4))
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        positions = [index + (number - (len(methods) - 1) / 2) * width for index in range(len(suites))]
        axes.bar(positions, [prompted[suite][method]["J&F"] for suite in suites], width * 0.92, label=method)
    axes.set_xticks(range(len(suites)), [suite.replace("_", "\n") for suite in suites], fontsize=8)
    axes.set_ylim(0, 1)
    axes.set_ylabel("J&F")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=len(methods), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
