# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""One set of weights for all users in a process: shared exactly when it is the same network, gone when nobody holds it."""

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


def test_the_same_network_is_loaded_once() -> None:
    """Another way to name the same files and device is no other network; what `load_segmenter` gives may be changed and is not shared."""
    first = shared_segmenter("toy", "cpu")
    assert shared_segmenter(str(TOY_FOLDER / "segmenter"), "cpu", None, "float32") is first
    assert load_segmenter("toy", "cpu") is not first
    detector = shared_detector("toy", "cpu")
    assert shared_detector("toy", "cpu") is detector


@pytest.mark.parametrize("other", [{"image_size": 128}, {"dtype": "bfloat16"}, {"compiled": True}])
def test_other_options_are_another_network(other: dict[str, Any]) -> None:
    first = shared_segmenter("toy", "cpu")
    assert shared_segmenter("toy", "cpu", **other) is not first


def test_replaced_files_are_another_network(tmp_path: Path) -> None:
    """New weights in the same folder must not be answered with the old ones while another node still runs on those."""
    folder = shutil.copytree(TOY_FOLDER / "segmenter", tmp_path / "mine")
    first = shared_segmenter(str(folder), "cpu")
    os.utime(folder / "model.safetensors", ns=(1, 1))
    assert shared_segmenter(str(folder), "cpu") is not first


def test_gone_when_nobody_holds_it() -> None:
    """Cleanup of the last node frees the device; of the one before, nothing."""
    left = shared_segmenter("toy", "cpu", 96)
    right = shared_segmenter("toy", "cpu", 96)
    watched = [weakref.ref(left), *(weakref.ref(tensor) for tensor in left.model.parameters())]
    del left
    free_unused()
    assert all(reference() is not None for reference in watched)
    del right
    free_unused()
    assert all(reference() is None for reference in watched)


def test_two_nodes_that_start_at_once_load_once() -> None:
    with ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: shared_segmenter("toy", "cpu", 160), range(4)))
    assert len({id(network) for network in networks}) == 1


def test_a_failed_load_leaves_nothing_behind() -> None:
    for _ in range(2):
        with pytest.raises(WeightsError, match="multiple of"):
            shared_segmenter("toy", "cpu", 33)
    assert shared_segmenter("toy", "cpu", 64).image_size == 64


def follow(segmenter: Sam2Segmenter, seed: int) -> list[np.ndarray]:
    """The mask logits of one object over twelve images of a scene of its own."""
    scene = demo_scene(320, 240, seed)
    shots = [scene.render(index) for index in range(12)]
    tracker = StreamTracker(segmenter)
    logits, rows = LogitsProbe(tracker), []
    tracker.add(BoxPrompt(body_box(shots[0], 1)))
    for shot in shots:
        tracker.step(shot.color)
        rows.append(logits.stacked())
    return rows


def test_streams_on_threads_of_their_own_do_not_disturb_each_other() -> None:
    """The network keeps nothing between calls: three streams at once are, bit by bit, what each is alone."""
    segmenter = shared_segmenter("toy", "cpu")
    alone = [follow(segmenter, seed) for seed in (1, 2, 3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: follow(segmenter, seed), (1, 2, 3)))
    for one, other in zip(alone, together):
        np.testing.assert_array_equal(np.stack(one), np.stack(other))
