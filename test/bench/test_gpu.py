# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark for GPUs, on a CPU: each case measures something, and a failed case does not end the run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench import gpu
from bench.gpu_report import draw, table


def test_cases_run_on_a_cpu_and_failures_become_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees the script run on a GPU before its one call, so its cases must be right."""
    median_ms = gpu.median_ms
    monkeypatch.setattr(gpu, "median_ms", lambda step, device, **_: median_ms(step, device, frames=2, fill=1))
    bench = gpu.Bench("cpu", torch.float32)
    rows = []
    for row, run in gpu.plan(bench, ["toy"], [1], 52):
        if row.case not in ("compile", "max"):  # compilation takes minutes
            gpu.measure(row, run, bench.device)
            rows.append(row)
    by_case = {row.case: row for row in rows}
    assert by_case["graphs"].numbers["static_frames"] == 2
    assert by_case["graphs"].numbers["mask_difference"] == 0
    assert (by_case["detector off"].numbers["static"], by_case["detector graphs"].numbers["static"]) == (0, 4)
    assert by_case["detector graphs"].numbers["score_difference"] < 1e-4
    assert by_case["long graphs"].numbers["frames"] == 52
    assert all(row.ms for case, row in by_case.items() if not case.startswith("reference")), table(rows)
    text = table(rows)
    assert len(text.splitlines()) == len(rows) + 1
    pytest.importorskip("matplotlib")
    draw(rows, "title", tmp_path / "gpu.png")
    assert (tmp_path / "gpu.png").stat().st_size > 5000


def test_machine_without_a_gpu_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 1
    assert "finds no GPU" in capsys.readouterr().err
