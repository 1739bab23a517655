# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Memory settings of a node's process, tested in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, threading
import numpy as np
from lang2segtrack_ros.ros.support.process import configure_process
configure_process()
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
ARENAS = """
import ctypes, threading
import numpy as np
from lang2segtrack_ros.ros.support.process import configure_process
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
stdout = ctypes.c_void_p(libc.fdopen(1, b"w"))
def report():
    libc.malloc_info(0, stdout)
    libc.fflush(stdout)
configure_process()
report()
barrier = threading.Barrier(16)
def work():
    arrays = []
    for _ in range(20):
        barrier.wait()
        arrays.append(np.ones(100_000, np.uint8))
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
report()
"""


def run(program: str, environment: dict[str, str]) -> str:
    """Run a program and return its output. Only `environment` configures its allocator."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=inherited | environment, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def faults(**environment: str) -> float:
    """Return the number of page faults for each image of three million bytes, on a thread like the engine's."""
    return float(run(FAULTS, environment))


def arenas(**environment: str) -> list[int]:
    """Return the number of arenas before sixteen threads start and after they have ended."""
    return [report.count("<heap nr=") for report in run(ARENAS, environment).split("</malloc>")[:2]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_image_memory_is_reused() -> None:
    """Otherwise the process requests every page of every image from the system again, which takes longer than processing the image."""
    assert faults() < 0.1 * PAGES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_threads_share_freed_memory() -> None:
    """Otherwise the arena of each thread keeps its freed memory, and the process grows for many minutes."""
    before, after = arenas()
    assert before == after
    before, after = arenas(MALLOC_TRIM_THRESHOLD_="1000000")
    assert before < after, "the test cannot count arenas"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_allocator_settings_of_the_user_are_kept() -> None:
    user_settings = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_TRIM_THRESHOLD_": "1000000"}
    assert faults(**user_settings) > 0.9 * PAGES
