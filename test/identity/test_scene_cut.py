# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scene cuts are detected, and other changes of the image are not."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.identity.scene_cut import SceneCutDetector
from lang2segtrack_ros.toyworld.suites import make_clip


def cuts(suite: str, seed: int) -> list[int]:
    clip = make_clip(suite, seed, 160, 120)
    detector = SceneCutDetector()
    return [index for index in range(clip.length) if detector.update(clip.scene.render(index).color)]


def test_cut_is_detected_on_its_frame() -> None:
    correct = [cuts("scene_cut", seed) == list(make_clip("scene_cut", seed, 160, 120).scene.cuts) for seed in range(10)]
    assert sum(correct) >= 9, correct


@pytest.mark.parametrize("suite", ["crossing", "camera_shake", "crowd", "small_fast"])
def test_motion_of_objects_and_camera_is_not_a_cut(suite: str) -> None:
    assert [cuts(suite, seed) for seed in range(4)] == [[]] * 4


def test_change_of_illumination_is_not_a_cut() -> None:
    picture = make_clip("easy", 0, 160, 120).scene.render(0).color
    detector = SceneCutDetector()
    detector.update(picture)
    assert not detector.update((picture * 0.5).astype(np.uint8))


def test_uniform_image_is_not_a_cut() -> None:
    """An image of a covered lens or a white wall has no structure for a correlation."""
    detector = SceneCutDetector()
    detector.update(np.full((60, 80, 3), 200, np.uint8))
    assert not detector.update(np.full((60, 80, 3), 10, np.uint8))


def test_exposure_follows_illumination_instead_of_moving_objects() -> None:
    clip = make_clip("crowd", 0, 160, 120)
    detector = SceneCutDetector()
    gains = (1.0, 0.8, 1.1, 0.9)
    exposures = []
    for gain in gains:
        detector.update(np.clip(clip.scene.render(0).color * 0.8 * gain, 0, 255).astype(np.uint8))
        exposures.append(detector.exposure)
    assert exposures == pytest.approx(np.log(gains), abs=0.02)

    detector, gains = SceneCutDetector(), clip.scene.style.gain[: clip.length]
    for index in range(clip.length):
        detector.update(clip.scene.render(index).color)
    assert detector.exposure == pytest.approx(np.log(gains[-1] / gains[0]), abs=0.05), "objects crossed the whole image"


def test_cut_leaves_exposure_unchanged() -> None:
    """A darker image after a cut shows another scene. With cut detection disabled (0), the exposure follows every change."""
    clip = make_clip("scene_cut", 1, 160, 120)
    before, after = (clip.scene.render(clip.scene.cuts[0] + shift).color for shift in (-1, 0))
    detector = SceneCutDetector()
    detector.update(before)
    assert detector.update(after // 2)
    assert detector.exposure == 0.0
    detector = SceneCutDetector(0.0)
    detector.update(before)
    detector.update(before // 2)
    assert detector.exposure == pytest.approx(np.log(0.5), abs=0.1)
