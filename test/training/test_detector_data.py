# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Training data of the detector: phrases and the boxes of matching objects."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.toyworld.pictures import draw_phrases, draw_picture
from lang2segtrack_ros.toyworld.suites import ALL_KINDS
from training.detector_data import make_batch


@pytest.mark.parametrize("max_phrases", [5, 12])
def test_no_object_matches_two_phrases(max_phrases: int) -> None:
    """An object that matches two phrases would have no unique label."""
    rng = np.random.default_rng(max_phrases)
    largest_count = 0
    for _ in range(200):
        kinds = [ALL_KINDS[i] for i in rng.integers(len(ALL_KINDS), size=int(rng.integers(1, max_phrases + 1)))]
        phrases = draw_phrases(rng, kinds, max_phrases=max_phrases)
        assert len({phrase.text for phrase in phrases}) == len(phrases) <= max_phrases
        assert all(sum(phrase.fits(kind) for phrase in phrases) <= 1 for kind in kinds)
        largest_count = max(largest_count, len(phrases))
    assert largest_count >= max_phrases - 1, "the largest number of phrases must occur"


def test_held_out_pictures_stay_the_same() -> None:
    """The model card's metrics of this and earlier checkpoints use these pictures."""
    picture = draw_picture(0, (320, 240))
    assert [phrase.text for phrase in picture.phrases] == ["circle", "pink triangle", "cyan circle", "cyan cross", "red thing"]
    assert picture.kinds == (("green", "circle"), ("cyan", "cross"), ("pink", "star"))


def test_targets_are_the_boxes_of_matching_phrases() -> None:
    colors, pictures, targets = make_batch((0, 0), 6)
    height, width = colors.shape[1:3]
    for picture, target in zip(pictures, targets):
        assert len(target["boxes"]) == len(picture.matches) == len(target["class_labels"])
        for (index, phrase), box, label in zip(picture.matches, target["boxes"].numpy(), target["class_labels"].tolist()):
            x_min, y_min, x_max, y_max = picture.boxes[index]
            center = ((x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height)
            assert np.allclose(box, (*center, (x_max - x_min) / width, (y_max - y_min) / height), atol=1e-5)
            assert label == phrase
