# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a running program tells of itself."""

from __future__ import annotations

import mmap
import resource
import sys

import pytest
import torch

from lang2segtrack_ros.runtime.metrics import KEPT, Durations, Rates, memory


def test_durations_tell_mean_and_worst_of_the_latest() -> None:
    durations = Durations()
    assert durations.metrics("step") == {}
    durations.add(9.0)
    for _ in range(KEPT - 1):
        durations.add(0.010)
    durations.add(0.030)  # and the nine seconds are forgotten
    assert durations.metrics("step") == {"step_ms_mean": "10.2", "step_ms_max": "30.0"}


def test_rates_are_of_the_time_between_two_looks() -> None:
    now = 10.0
    rates = Rates(lambda: now)
    now = 12.0
    assert rates.update({"received": 30, "processed": 20}) == {"received": "15.0", "processed": "10.0"}
    now = 13.0
    assert rates.update({"received": 45, "processed": 20}) == {"received": "15.0", "processed": "0.0"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_memory_of_the_process_follows_what_it_holds() -> None:
    before = float(memory("cpu")["memory_process_mb"])
    with mmap.mmap(-1, 200_000_000) as held:  # not from the allocator, which may have as much to spare from tests before
        held[:: mmap.PAGESIZE] = bytes([1]) * len(range(0, len(held), mmap.PAGESIZE))
        after = float(memory("cpu")["memory_process_mb"])
    assert 150 < after - before < 250
    assert after <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6 + 1


def test_a_gpu_that_has_failed_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception would keep all of /diagnostics from being published, just when it has most to tell."""

    def failing(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be ...")

    monkeypatch.setattr(torch.cuda, "mem_get_info", failing)
    told = memory("cuda:0")
    assert float(told["memory_process_mb"]) > 0
    assert told["memory_error"] == "CUDA error: an illegal memory access was encountered"
