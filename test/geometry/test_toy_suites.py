# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The toy world's own depth and truth: its bodies measured with true masks, so that only the geometry can be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.evaluation.space import errors, is_whole
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.results import Track, TrackStatus


@pytest.mark.parametrize("suite", ["easy", "crowd", "depth_only_difference"])
def test_bodies_of_a_suite(suite: str) -> None:
    """Of bodies seen whole, 95 of 100 within 2 cm or 2 %, and as wide and high within 15 %."""
    centre_errors, extent_errors = [], []
    for seed in (900_001, 900_002, 900_003):
        clip = make_clip(suite, seed)
        for index in range(0, clip.length, 4):
            frame = clip.scene.render(index)
            for number, body in frame.bodies.items():
                if not is_whole(body):
                    continue
                mask = frame.instances == number
                x1, y1, x2, y2 = (float(value) for value in body.box or ())
                known = Track(number, "", TrackStatus.TRACKED, 1.0, (x1, y1, x2, y2), mask, 1.0, 1.0, 1.0, 0)
                centre, extent = errors(known, (), body, frame, clip.scene)
                centre_errors.append(centre)
                extent_errors.append(extent)
    assert len(centre_errors) > 30
    assert np.quantile(centre_errors, 0.95) <= 1.0
    assert np.quantile(extent_errors, 0.95) <= 0.15
