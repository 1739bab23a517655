# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Appearance similarity is high for the same object on other frames, and low for objects of another color."""

from __future__ import annotations

import numpy as np

from lang2segtrack_ros.identity.appearance import appearance_of, appearance_similarity
from lang2segtrack_ros.toyworld.suites import make_clip


def test_similarity_separates_same_and_other_objects_in_crowds() -> None:
    """The default of the parameter reid_threshold, 0.8, must lie between the similarities of same and of other objects."""
    same, other = [], []
    for seed in range(6):
        clip = make_clip("crowd", seed)
        first, later = clip.scene.render(0), clip.scene.render(40)
        appearances = [
            {number: appearance_of(shot.color, shot.instances == number) for number, body in shot.bodies.items() if body.fraction > 0.5}
            for shot in (first, later)
        ]
        for number, earlier in appearances[0].items():
            for candidate, current in appearances[1].items():
                if number == candidate:
                    same.append(appearance_similarity(earlier, current))
                elif clip.scene.bodies[number - 1].color != clip.scene.bodies[candidate - 1].color:
                    other.append(appearance_similarity(earlier, current))
    assert np.percentile(same, 2) > 0.9
    assert np.percentile(other, 95) < 0.8


def test_darker_image_keeps_similarity_high() -> None:
    shot = make_clip("easy", 3).scene.render(0)
    mask = shot.instances == 1
    dim = (shot.color * 0.8).astype(np.uint8)
    assert appearance_similarity(appearance_of(shot.color, mask), appearance_of(dim, mask)) > 0.8


def test_mask_of_a_few_pixels_has_no_appearance() -> None:
    color = np.zeros((20, 20, 3), np.uint8)
    mask = np.zeros((20, 20), bool)
    assert appearance_of(color, mask) is None
    mask[3:6, 3:6] = True
    assert appearance_of(color, mask) is None
    assert appearance_similarity(None, None) == 0.0
