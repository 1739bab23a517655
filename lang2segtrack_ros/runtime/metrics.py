# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""What a running program can tell of itself in numbers: how long its work takes, how fast it goes, how much memory it holds."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

KEPT = 100
"""Durations of which mean and worst are told."""
MB = 1e6


class Durations:
    """The latest durations of one kind of work; added on one thread, read on any."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KEPT)

    def add(self, seconds: float) -> None:
        """One more."""
        self._seconds.append(seconds)

    def metrics(self, name: str) -> dict[str, object]:
        """Return mean and maximum in milliseconds as `<name>_ms_mean` and `<name>_ms_max`; empty before the first duration."""
        kept = list(self._seconds)
        if not kept:
            return {}
        return {f"{name}_ms_mean": f"{1e3 * sum(kept) / len(kept):.1f}", f"{name}_ms_max": f"{1e3 * max(kept):.1f}"}


class Rates:
    """How fast counters grow.

    Args:
        clock: in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._counts: Mapping[str, int] = {}

    def update(self, counts: Mapping[str, int]) -> dict[str, str]:
        """Growth a second since the last update, or since this was made, for each counter."""
        now = self._clock()
        elapsed, before = max(now - self._at, 1e-9), self._counts
        self._at, self._counts = now, dict(counts)
        return {name: f"{(count - before.get(name, 0)) / elapsed:.1f}" for name, count in counts.items()}


def memory(device: torch.device | str) -> dict[str, str]:
    """Megabytes (10^6 bytes) that this process holds in the machine's memory, where the system tells, and on a GPU, by name."""
    device, held = torch.device(device), {}
    pages = Path("/proc/self/statm")
    try:
        if pages.is_file():
            held["memory_process_mb"] = f"{int(pages.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / MB:.0f}"
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            held["memory_gpu_tensors_mb"] = f"{torch.cuda.memory_allocated(device) / MB:.0f}"
            held["memory_gpu_reserved_mb"] = f"{torch.cuda.memory_reserved(device) / MB:.0f}"
            held["memory_gpu_free_mb"] = f"{free / MB:.0f}"
            held["memory_gpu_total_mb"] = f"{total / MB:.0f}"
    except (RuntimeError, OSError) as error:  # a GPU that has failed, say; whoever tells of memory has that to tell
        held["memory_error"] = str(error).partition("\n")[0]
    return held
