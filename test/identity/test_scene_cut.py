# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Scene cuts are detected, and other changes of the image are not."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from lang2segtrack_ros.identity.scene_cut import SceneCutOptions, SceneState
from lang2segtrack_ros.toyworld.suites import make_clip

DEFAULT = SceneCutOptions()
DISABLED = SceneCutOptions(scene_cut_threshold=0.0)


def states(pictures: Iterable[NDArray[np.uint8]], options: SceneCutOptions = DEFAULT) -> list[tuple[SceneState, bool]]:
    """Return the state after each picture of a stream, and True for a cut before it."""
    state, after = SceneState(), []
    for color in pictures:
        state, is_cut = state.next(color, options)
        after.append((state, is_cut))
    return after


def cuts(suite: str, seed: int) -> list[int]:
    clip = make_clip(suite, seed, 160, 120)
    pictures = (clip.scene.render(index).color for index in range(clip.length))
    return [index for index, (_, is_cut) in enumerate(states(pictures)) if is_cut]


def test_cut_is_detected_on_its_frame() -> None:
    correct = [cuts("scene_cut", seed) == list(make_clip("scene_cut", seed, 160, 120).scene.cuts) for seed in range(10)]
    assert sum(correct) >= 9, correct


@pytest.mark.parametrize("suite", ["crossing", "camera_shake", "crowd", "small_fast"])
def test_motion_of_objects_and_camera_is_not_a_cut(suite: str) -> None:
    assert [cuts(suite, seed) for seed in range(4)] == [[]] * 4


def test_change_of_illumination_is_not_a_cut() -> None:
    picture = make_clip("easy", 0, 160, 120).scene.render(0).color
    assert not states([picture, (picture * 0.5).astype(np.uint8)])[1][1]


def test_uniform_image_is_not_a_cut() -> None:
    """An image of a covered lens or a white wall has no structure for a correlation."""
    assert not states([np.full((60, 80, 3), 200, np.uint8), np.full((60, 80, 3), 10, np.uint8)])[1][1]


def test_exposure_follows_illumination_instead_of_moving_objects() -> None:
    clip = make_clip("crowd", 0, 160, 120)
    gains = (1.0, 0.8, 1.1, 0.9)
    pictures = [np.clip(clip.scene.render(0).color * 0.8 * gain, 0, 255).astype(np.uint8) for gain in gains]
    assert [state.exposure for state, _ in states(pictures)] == pytest.approx(np.log(gains), abs=0.02)

    gains = clip.scene.style.gain[: clip.length]
    last, _ = states(clip.scene.render(index).color for index in range(clip.length))[-1]
    assert last.exposure == pytest.approx(np.log(gains[-1] / gains[0]), abs=0.05), "objects crossed the whole image"


def test_cut_leaves_exposure_unchanged() -> None:
    """A darker image after a cut shows another scene. With cut detection disabled (0), the exposure follows every change."""
    clip = make_clip("scene_cut", 1, 160, 120)
    before, after = (clip.scene.render(clip.scene.cuts[0] + shift).color for shift in (-1, 0))
    state, is_cut = states([before, after // 2])[1]
    assert is_cut
    assert state.exposure == 0.0
    assert states([before, before // 2], DISABLED)[1][0].exposure == pytest.approx(np.log(0.5), abs=0.1)


def test_restart_keeps_the_exposure_and_compares_with_no_earlier_image() -> None:
    """The color samples of objects refer to the exposure. The first image after a reset may show any scene."""
    clip = make_clip("scene_cut", 1, 160, 120)
    before, after = (clip.scene.render(clip.scene.cuts[0] + shift).color for shift in (-1, 0))
    restarted = states([before, before // 2])[1][0].restarted()
    assert restarted.size == (0, 0)
    state, is_cut = restarted.next(after, DEFAULT)
    assert not is_cut
    assert state.exposure == restarted.exposure == pytest.approx(np.log(0.5), abs=0.1)


def test_state_names_the_size_of_the_latest_image() -> None:
    first, second = states([np.zeros((60, 80, 3), np.uint8), np.zeros((30, 40, 3), np.uint8)])
    assert first[0].size == (60, 80)
    assert second == (second[0], False)
    assert second[0].size == (30, 40)
