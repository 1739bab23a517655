# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memory that objects need, and how many fit."""

from __future__ import annotations

import logging

import pytest

from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.tracking import static_step
from lang2segtrack_ros.tracking.capacity import SHARE, Capacity
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker


@pytest.mark.parametrize(("free", "objects"), [(0, 0), (400, 2), (1_000, 8), (10_000, 588)])
def test_number_of_objects_fits_and_one_more_does_not(free: int, objects: int) -> None:
    """Objects beyond one batch need only their memories, which is the case of the last number."""
    capacity = Capacity(stored=15, work=90, image=100, batch=2, free=free)
    found = capacity.objects
    assert found is not None
    assert found == 0 or capacity.needed(found) <= SHARE * free
    assert capacity.needed(found + 1) > SHARE * free


def test_capacity_counts_the_memories_of_an_object(segmenter: Sam2Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    """A CPU has no limit of its own. The sentence still gives the memory of an object."""
    reports: list[str] = []
    tracker = StreamTracker(segmenter)
    tracker.prepare(2, report=reports.append)
    assert reports[0].startswith(f"an object needs {tracker._allocate(1).nbytes / 1e6:.1f} MB for its memories and ")
    assert not caplog.records


def test_objects_that_do_not_fit_are_reported(
    segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The user learns before the first frame that fewer objects fit, and storage is allocated for these only."""
    stored = StreamTracker(segmenter)._allocate(1).nbytes
    monkeypatch.setattr(static_step, "free_bytes", lambda device: 60_000_000 + 3 * stored)
    tracker = StreamTracker(segmenter)
    with caplog.at_level(logging.WARNING):
        tracker.prepare(1 << 20)
    capacity = static_step.StaticStep(segmenter, tracker.policy).capacity(tracker._allocate)
    assert caplog.messages == [
        f"{1 << 20} objects do not fit into the GPU: set max_objects to {capacity.objects} or less, or a smaller image_size"
    ]
    assert tracker._storage.capacity < 1 << 10
