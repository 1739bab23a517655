# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of OpenMP, whose threads carry out the operations of PyTorch on a CPU. They have no effect on a GPU.

By default, an OpenMP thread without work spins for some milliseconds. Beside another busy process, the spinning threads take the time of
the thread that has work: tracking became several times slower. Sleeping threads cost little, see `bench/neighbor.py`.

By default, OpenMP also starts a thread for each CPU of the machine, although a container may grant less time than that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

QUOTA_FILES = (
    (Path("/sys/fs/cgroup/cpu.max"),),  # cgroup v2: quota and period in one file
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),  # cgroup v1
)


def configure_cpu_threads() -> None:
    """Let idle threads sleep, and limit their number to the granted CPU time. Variables that the user set stay.

    Call the function before torch is loaded, because OpenMP reads the variables when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")  # the OpenMP library of Intel, in some builds of torch
    granted = granted_cpus()
    if granted is not None and granted < (os.cpu_count() or 1):
        os.environ.setdefault("OMP_NUM_THREADS", str(granted))


def granted_cpus(quota_files: Sequence[Sequence[Path]] = QUOTA_FILES) -> int | None:
    """Return the number of CPUs whose time the control group of the process grants, rounded up. Return None without a limit.

    Args:
        quota_files: for each version of control groups, the files that hold quota and period in microseconds.
    """
    for files in quota_files:
        try:
            quota, period = map(int, " ".join(path.read_text(encoding="ascii") for path in files).split())
        except (OSError, ValueError):  # another version of control groups, or "max"
            continue
        if quota > 0 and period > 0:
            return -(-quota // period)
    return None
