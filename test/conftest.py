# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures and helper functions for several packages of tests."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lang2segtrack_ros.detection.grounding_dino import GroundingDinoDetector
from lang2segtrack_ros.models.loading import load_detector, load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.session.session import Session
from lang2segtrack_ros.toyworld.graph import isolated_environment
from lang2segtrack_ros.toyworld.scene import Scene, SceneFrame, demo_scene

if "PYTEST_XDIST_WORKER" in os.environ:  # xdist workers ignore Ctrl-C, and child processes of a test would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


HERE = Path(__file__).parent
QUICK = (
    "types",
    "runtime",
    "segmentation",
    "geometry",
    "detection",
    "instructions",
    "identity",
    "tracking/test_policies.py",
    "tracking/test_kalman.py",
    "tracking/test_memory_bank.py",
    "history/test_merging.py",
    "history/test_records.py",
    "io",
    "recordings/test_bag_types.py",
    "viewers",
    "ros/support",
    "test_commands.py",
    "test_docs.py",
    "test_door.py",
    "test_package.py",
    "test_reading.py",
    "test_site.py",
    "test_words.py",
)
"""Rooms and files that `make check` and `colcon test` run, in a minute or two."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """With L2ST_TESTS=quick, leave out all files but the quick ones."""
    if os.environ.get("L2ST_TESTS") != "quick" or collection_path.is_dir():
        return None
    return None if any(collection_path.is_relative_to(HERE / name) for name in QUICK) else True


@pytest.fixture(scope="session", autouse=True)
def ros_domain() -> Iterator[None]:
    """Set a separate ROS domain for this test run, for this process and its child processes."""
    with isolated_environment() as environment:
        os.environ.update(environment)
        yield
    remove_dead_segments(time.time() - 60.0)


def remove_dead_segments(before: float, folder: Path = Path("/dev/shm")) -> None:
    """Remove the shared memory of nodes that were killed, as tests do. Each leaves 18 MB, which slow down later runs when memory is short.

    Args:
        before: time in seconds since the epoch. Younger files stay, because another test may be about to use them.
        folder: folder of the segments.
    """
    maps = ""
    for file in Path("/proc").glob("[0-9]*/maps"):
        with contextlib.suppress(OSError):  # the process has ended, or belongs to another user
            maps += file.read_text()
    for segment in folder.glob("fast*_*"):
        if not re.fullmatch("(fastdds|fastrtps)_[0-9a-f]{16}", segment.name) or str(segment) in maps:
            continue
        with contextlib.suppress(OSError):  # its owner has removed it meanwhile, or is another user
            if segment.stat().st_mtime < before:
                segment.unlink()
                segment.with_name(f"{segment.name}_el").unlink()


DEVICE = os.environ.get("L2ST_TEST_DEVICE", "cpu")
"""Device of the networks in the tests of the engine. Tests that compare with the CPU name it themselves."""
if DEVICE != "cpu":  # products in TensorFloat-32 differ from those of the CPU by more than the tests allow
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@pytest.fixture(scope="module", autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail in the module that leaves a thread, because tests of other modules count the threads of their node."""
    before = set(threading.enumerate())
    yield
    if left_threads(before):
        gc.collect()  # a thread of an object that is no longer used ends with the object
    limit = time.monotonic() + 10
    while (left := left_threads(before)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert left == []


def left_threads(before: set[threading.Thread]) -> list[str]:
    """Return the names of the threads of this package that run and did not before."""
    return sorted(thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("lang2segtrack"))


@pytest.fixture(scope="session")
def segmenter() -> Sam2Segmenter:
    """Load the toy segmenter in float32."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    return load_segmenter("toy", device=DEVICE, dtype="float32", acceleration="off")


@pytest.fixture(scope="session")
def detector() -> GroundingDinoDetector:
    """Load the toy detector in float32."""
    return load_detector("toy", device=DEVICE, dtype="float32", acceleration="off")


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Return the demo scene at 320 x 240 pixels."""
    return demo_scene(320, 240)


@pytest.fixture(scope="session")
def frames(scene: Scene) -> list[SceneFrame]:
    """Render the first 60 frames of the demo scene."""
    return [scene.render(index) for index in range(60)]


def body_box(frame: SceneFrame, body: int) -> tuple[float, float, float, float]:
    """Return the exact box of a body (1, 2, ...) on a frame: (x_min, y_min, x_max, y_max) in pixels, with exclusive maxima."""
    rows, columns = np.nonzero(frame.instances == body)
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


def iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Return the IoU of two bool masks."""
    return float(np.count_nonzero(mask & other) / max(1, np.count_nonzero(mask | other)))


def swap_memories(session: Session) -> None:
    """Exchange the memories of the objects of a session: the first object gets those of the last one, and so on."""
    rows = session.tracker.rows
    session.tracker.rows = replace(rows, ids=rows.ids[::-1])
