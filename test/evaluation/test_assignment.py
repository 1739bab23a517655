# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Objects and tracks are assigned over the whole clip, not by their first overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lang2segtrack_ros.evaluation.identity import IdentityRecord
from lang2segtrack_ros.evaluation.texts import TextScore

LEFT, RIGHT = np.s_[2:10, 2:10], np.s_[2:10, 20:28]


def mask(part: tuple[slice, slice]) -> NDArray[np.bool_]:
    image = np.zeros((12, 30), bool)
    image[part] = True
    return image


def test_a_track_that_only_passed_by_is_not_the_track_of_an_object() -> None:
    """Track 7 lies on object 1 for one frame. Track 8 holds it for the rest of the clip."""
    instances = np.zeros((12, 30), np.uint16)
    instances[LEFT], instances[RIGHT] = 1, 2
    masks = [{7: mask(LEFT)}, *[{8: mask(LEFT), 7: mask(RIGHT)}] * 4]
    record = IdentityRecord()
    for item in masks:
        record.add(instances, [1, 2], item)
    assert record.assignment() == {1: 8, 2: 7}
    score = TextScore()
    score.add_masks(("easy", 0), record, [(instances, item) for item in masks])
    assert score.j == [0.0, 0.0, *[1.0] * 8], "the frames before a track starts count as 0"


def test_an_object_without_any_track_has_none() -> None:
    instances = np.zeros((12, 30), np.uint16)
    instances[LEFT], instances[RIGHT] = 1, 2
    record = IdentityRecord()
    record.add(instances, [1, 2], {5: mask(RIGHT)})
    assert record.assignment() == {2: 5}
