# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Surface measurement on the toy world with its true masks, so that every error comes from the geometry code."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.evaluation.space import errors, is_whole
from lang2segtrack_ros.toyworld.suites import make_clip
from lang2segtrack_ros.types.results import Track, TrackStatus


@pytest.mark.parametrize("suite", ["easy", "crowd", "depth_only_difference"])
def test_surface_errors_stay_within_tolerance(suite: str) -> None:
    """For 95 % of the fully visible bodies, the center is within 2 cm or 2 %, and the width and height are within 15 %."""
    center_errors, extent_errors = [], []
    for seed in (900_001, 900_002, 900_003):
        clip = make_clip(suite, seed)
        for index in range(0, clip.length, 4):
            frame = clip.scene.render(index)
            for number, body in frame.bodies.items():
                if not is_whole(body):
                    continue
                mask = frame.instances == number
                x1, y1, x2, y2 = (float(value) for value in body.box or ())
                track = Track(number, "", TrackStatus.TRACKED, 1.0, (x1, y1, x2, y2), mask, 1.0, 1.0, 1.0, 0)
                center, extent = errors(track, (), body, frame, clip.scene)
                center_errors.append(center)
                extent_errors.append(extent)
    assert len(center_errors) > 30
    assert np.quantile(center_errors, 0.95) <= 1.0
    assert np.quantile(extent_errors, 0.95) <= 0.15
