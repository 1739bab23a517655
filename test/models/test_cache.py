# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Shared networks: sessions share exactly the same network, and a network that no session holds is freed."""

from __future__ import annotations

import os
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lang2segtrack_ros.models.cache import free_unused, shared_detector, shared_segmenter
from lang2segtrack_ros.models.catalogue import TOY_FOLDER, WeightsError
from lang2segtrack_ros.models.loading import load_segmenter
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import demo_scene
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.prompts import BoxPrompt
from test.conftest import body_box
from test.logits import LogitsProbe


def test_same_network_is_loaded_once() -> None:
    """Two names of the same files and device share a network. The result of `load_segmenter` may be changed, so it is not shared."""
    first = shared_segmenter("toy", "cpu")
    assert shared_segmenter(str(TOY_FOLDER / "segmenter"), "cpu", None, "float32") is first
    assert load_segmenter("toy", "cpu") is not first
    detector = shared_detector("toy", "cpu")
    assert shared_detector("toy", "cpu") is detector


@pytest.mark.parametrize("other", [{"image_size": 128}, {"dtype": "bfloat16"}, {"acceleration": "compile"}])
def test_other_options_load_another_network(other: dict[str, Any]) -> None:
    first = shared_segmenter("toy", "cpu")
    assert shared_segmenter("toy", "cpu", **other) is not first


def test_replaced_files_load_another_network(tmp_path: Path) -> None:
    """A node must get the new weights of a folder, even while another node still uses the old ones."""
    folder = shutil.copytree(TOY_FOLDER / "segmenter", tmp_path / "weights")
    first = shared_segmenter(str(folder), "cpu")
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert shared_segmenter(str(folder), "cpu") is not first


def test_released_network_is_freed() -> None:
    """Cleanup of the last node must free the device. Cleanup of an earlier node must free nothing."""
    first = shared_segmenter("toy", "cpu", 96)
    second = shared_segmenter("toy", "cpu", 96)
    references = [weakref.ref(first), *(weakref.ref(tensor) for tensor in first.model.parameters())]
    del first
    free_unused()
    assert all(reference() is not None for reference in references)
    del second
    free_unused()
    assert all(reference() is None for reference in references)


def test_concurrent_requests_load_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: shared_segmenter("toy", "cpu", 160), range(4)))
    assert len({id(network) for network in networks}) == 1


def test_failed_load_is_not_cached() -> None:
    for _ in range(2):
        with pytest.raises(WeightsError, match="multiple of"):
            shared_segmenter("toy", "cpu", 33)
    assert shared_segmenter("toy", "cpu", 64).image_size == 64


def track_logits(segmenter: Sam2Segmenter, seed: int) -> list[np.ndarray]:
    """Return the mask logits of one object on twelve frames. Each seed is another scene."""
    scene = demo_scene(320, 240, seed)
    frames = [scene.render(index) for index in range(12)]
    tracker = StreamTracker(segmenter)
    logits, rows = LogitsProbe(tracker), []
    tracker.add(BoxPrompt(body_box(frames[0], 1)))
    for frame in frames:
        tracker.step(frame.color)
        rows.append(logits.stacked())
    return rows


def test_parallel_streams_share_a_network_without_side_effects() -> None:
    """The network keeps no state between calls. Three parallel streams give the same bits as each stream alone."""
    segmenter = shared_segmenter("toy", "cpu")
    alone = [track_logits(segmenter, seed) for seed in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: track_logits(segmenter, seed), (1, 2, 3)))
    for expected, actual in zip(alone, together):
        np.testing.assert_array_equal(np.stack(expected), np.stack(actual))
