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
def tell():
    libc.malloc_info(0, stdout)
    libc.fflush(stdout)
configure_process()
tell()
together = threading.Barrier(16)
def work():
    held = []
    for _ in range(20):
        together.wait()
        held.append(np.ones(100_000, np.uint8))
threads = [threading.Thread(target=work) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
tell()
"""


def run(program: str, environment: dict[str, str]) -> str:
    """What a program prints whose allocator nobody but this environment has set."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", program], env=own | environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def faults(**environment: str) -> float:
    """Pages that the system had to give for each image of three million bytes, on a thread as the engine's is."""
    return float(run(FAULTS, environment))


def arenas(**environment: str) -> list[int]:
    """How many arenas there are before sixteen threads begin, and when they have ended."""
    return [told.count("<heap nr=") for told in run(ARENAS, environment).split("</malloc>")[:2]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_of_images_is_kept() -> None:
    """Else every page of every image is asked of the system anew, which takes longer than working on it."""
    assert faults() < 0.1 * PAGES


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_threads_share_what_is_kept() -> None:
    """Else each thread's arena fills with what it has freed, and the process grows for many minutes."""
    before, after = arenas()
    assert before == after
    before, after = arenas(MALLOC_TRIM_THRESHOLD_="1000000")
    assert before < after, "the test sees no arenas"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_users_own_setting_of_the_allocator_stands() -> None:
    own = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_TRIM_THRESHOLD_": "1000000"}
    assert faults(**own) > 0.9 * PAGES
