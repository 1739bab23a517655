# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of a running process: durations, rates, and memory."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

WINDOW = 100
"""Number of latest durations in the mean and maximum."""
BYTES_PER_MB = 1e6


class Durations:
    """The latest durations of one kind of work. One thread adds them, and any thread may read them."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def add(self, seconds: float) -> None:
        """Add one duration in seconds."""
        self._seconds.append(seconds)

    def metrics(self, name: str) -> dict[str, object]:
        """Return mean and maximum in milliseconds as `<name>_ms_mean` and `<name>_ms_max`. Before the first duration, return {}."""
        durations = list(self._seconds)
        if not durations:
            return {}
        return {f"{name}_ms_mean": f"{1e3 * sum(durations) / len(durations):.1f}", f"{name}_ms_max": f"{1e3 * max(durations):.1f}"}


class Rates:
    """The growth rates of counters.

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._updated_at = clock()
        self._counts: Mapping[str, int] = {}

    def update(self, counts: Mapping[str, int]) -> dict[str, str]:
        """Return the growth per second of each counter since the last update, or since construction.

        Args:
            counts: current value of each counter.
        """
        now = self._clock()
        elapsed, previous = max(now - self._updated_at, 1e-9), self._counts
        self._updated_at, self._counts = now, dict(counts)
        return {name: f"{(count - previous.get(name, 0)) / elapsed:.1f}" for name, count in counts.items()}


def memory(device: torch.device | str) -> dict[str, str]:
    """Return the memory of this process and of its GPU in megabytes (10^6 bytes).

    Args:
        device: device of the networks. The GPU values need a CUDA device.

    Returns:
        Values by name. The process value needs /proc. If a query fails, `memory_error` holds the first line of the error.
    """
    device, usage = torch.device(device), {}
    statm = Path("/proc/self/statm")
    try:
        if statm.is_file():
            usage["memory_process_mb"] = f"{int(statm.read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / BYTES_PER_MB:.0f}"
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            usage["memory_gpu_tensors_mb"] = f"{torch.cuda.memory_allocated(device) / BYTES_PER_MB:.0f}"
            usage["memory_gpu_reserved_mb"] = f"{torch.cuda.memory_reserved(device) / BYTES_PER_MB:.0f}"
            usage["memory_gpu_free_mb"] = f"{free / BYTES_PER_MB:.0f}"
            usage["memory_gpu_total_mb"] = f"{total / BYTES_PER_MB:.0f}"
    except (RuntimeError, OSError) as error:  # a failed GPU must not keep the other diagnostics from being published
        usage["memory_error"] = str(error).partition("\n")[0]
    return usage
