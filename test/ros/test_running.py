# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""How a node's process is set up: seen from outside, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, threading
import numpy as np
from lang2segtrack_ros.ros.running import suit_engine
suit_engine()
def work():
    for round in range(60):
        if round == 10:
            before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(2):
            np.ones(3_000_000, np.uint8)
    print((resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before) / 100)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
PAGES = 3_000_000 / 4096


def faults(**environment: str) -> float:
    """Pages that the system had to give for each image of three million bytes, on a thread as the engine's is."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", FAULTS], env=own | environment, capture_output=True, text=True, check=True, timeout=60)
    return float(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_of_images_is_kept() -> None:
    """Else every page of every image is asked of the system anew, which takes longer than working on it."""
    assert faults() < 0.1 * PAGES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_users_own_setting_of_the_allocator_stands() -> None:
    own = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_TRIM_THRESHOLD_": "1000000"}
    assert faults(**own) > 0.9 * PAGES
