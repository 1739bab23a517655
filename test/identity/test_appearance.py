# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects look like themselves on other frames, and unlike objects of another colour."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.identity.appearance import appearance_of, appearance_similarity
from lang2segtrack_ros.toyworld.suites import make_clip


def test_same_and_other_objects_of_crowds() -> None:
    """The default of the parameter reid_threshold, 0.8, lies between."""
    same, other = [], []
    for seed in range(6):
        clip = make_clip("crowd", seed)
        first, later = clip.scene.render(0), clip.scene.render(40)
        looks = [
            {number: appearance_of(shot.color, shot.instances == number) for number, body in shot.bodies.items() if body.fraction > 0.5}
            for shot in (first, later)
        ]
        for number, look in looks[0].items():
            for candidate, seen in looks[1].items():
                if number == candidate:
                    same.append(appearance_similarity(look, seen))
                elif clip.scene.bodies[number - 1].color != clip.scene.bodies[candidate - 1].color:
                    other.append(appearance_similarity(look, seen))
    assert np.percentile(same, 2) > 0.9
    assert np.percentile(other, 95) < 0.8


def test_light_changes_little() -> None:
    shot = make_clip("easy", 3).scene.render(0)
    mask = shot.instances == 1
    dim = (shot.color * 0.8).astype(np.uint8)
    assert appearance_similarity(appearance_of(shot.color, mask), appearance_of(dim, mask)) > 0.8


def test_a_few_pixels_say_nothing() -> None:
    color = np.zeros((20, 20, 3), np.uint8)
    mask = np.zeros((20, 20), bool)
    assert appearance_of(color, mask) is None
    mask[3:6, 3:6] = True
    assert appearance_of(color, mask) is None
    assert appearance_similarity(None, None) == 0.0
