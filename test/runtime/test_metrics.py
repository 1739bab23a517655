# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of a running process."""

from __future__ import annotations

import mmap
import resource
import sys

import pytest
import torch

from lang2segtrack_ros.runtime.metrics import WINDOW, Durations, Rates, memory


def test_durations_report_mean_and_maximum_of_the_window() -> None:
    durations = Durations()
    assert durations.metrics("step") == {}
    durations.add(9.0)
    for _ in range(WINDOW - 1):
        durations.add(0.010)
    durations.add(0.030)  # the nine seconds leave the window
    assert durations.metrics("step") == {"step_ms_mean": "10.2", "step_ms_max": "30.0"}


def test_rates_cover_the_time_between_two_updates() -> None:
    now = 10.0
    rates = Rates(lambda: now)
    now = 12.0
    assert rates.update({"received": 30, "processed": 20}) == {"received": "15.0", "processed": "10.0"}
    now = 13.0
    assert rates.update({"received": 45, "processed": 20}) == {"received": "15.0", "processed": "0.0"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_process_memory_follows_an_allocation() -> None:
    before = float(memory("cpu")["memory_process_mb"])
    with mmap.mmap(-1, 200_000_000) as pages:  # not from the allocator, which may hold enough free memory of earlier tests
        pages[:: mmap.PAGESIZE] = bytes([1]) * len(range(0, len(pages), mmap.PAGESIZE))
        after = float(memory("cpu")["memory_process_mb"])
    assert 150 < after - before < 250
    assert after <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 + 1


def test_failed_gpu_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception would stop /diagnostics at the moment when the user needs it most."""

    def failing(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be ...")

    monkeypatch.setattr(torch.cuda, "mem_get_info", failing)
    metrics = memory("cuda:0")
    assert float(metrics["memory_process_mb"]) > 0
    assert metrics["memory_error"] == "CUDA error: an illegal memory access was encountered"
