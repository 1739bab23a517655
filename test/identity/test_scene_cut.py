# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Cuts are noticed, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.identity.scene_cut import SceneCutDetector
from lang2segtrack_ros.toyworld.suites import make_clip


def cuts(suite: str, seed: int) -> list[int]:
    clip = make_clip(suite, seed, 160, 120)
    detector = SceneCutDetector()
    return [index for index in range(clip.length) if detector.update(clip.scene.render(index).color)]


def test_the_cut_is_noticed_on_its_frame() -> None:
    right = [cuts("scene_cut", seed) == list(make_clip("scene_cut", seed, 160, 120).scene.cuts) for seed in range(10)]
    assert sum(right) >= 9, right


@pytest.mark.parametrize("suite", ["crossing", "camera_shake", "crowd", "small_fast"])
def test_motion_of_objects_and_camera_is_no_cut(suite: str) -> None:
    assert [cuts(suite, seed) for seed in range(4)] == [[]] * 4


def test_a_change_of_light_is_no_cut() -> None:
    picture = make_clip("easy", 0, 160, 120).scene.render(0).color
    detector = SceneCutDetector()
    detector.update(picture)
    assert not detector.update((picture * 0.5).astype(np.uint8))


def test_an_even_image_is_no_cut() -> None:
    """A covered lens or a white wall has no structure to correlate."""
    detector = SceneCutDetector()
    detector.update(np.full((60, 80, 3), 200, np.uint8))
    assert not detector.update(np.full((60, 80, 3), 10, np.uint8))
