# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Table and picture of `bench.gpu`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.gpu import Row

HEAD = f"{'case':<24}{'network':<20}{'objects':>8}{'ms':>9}{'fps':>8}  notes"


def table(rows: Sequence[Row], head: bool = True) -> str:
    """Return the rows as text, one line for each case."""
    lines = [HEAD] if head else []
    for row in rows:
        time = f"{row.ms:>9.2f}{1e3 / row.ms:>8.1f}" if row.ms else f"{'-':>9}{'-':>8}"
        numbers = " ".join(f"{name} {value:.4g}" for name, value in row.numbers.items())
        lines.append(f"{row.case:<24}{row.network:<20}{row.objects:>8}{time}  {numbers} {row.note}".rstrip())
    return "\n".join(lines)


def draw(rows: Sequence[Row], title: str, path: Path) -> None:
    """Draw frames per second against the number of objects, log-log, one line for each case and network."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        if row.ms and row.case in ("off", "graphs", "compile", "max", "transformers", "reference", "reference_vos_optimized"):
            lines.setdefault((row.case, row.network), []).append((row.objects, 1e3 / row.ms))
    figure, axes = plt.subplots(figsize=(9, 6))
    for (case, network), points in sorted(lines.items()):
        objects, fps = zip(*sorted(points))
        axes.plot(objects, fps, marker="o", linestyle="-" if case in ("graphs", "max") else "--", label=f"{case} {network}")
    axes.set(xscale="log", yscale="log", xlabel="objects", ylabel="images per second", title=title)
    axes.title.set_fontsize(9)
    axes.grid(which="both", alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
