# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The toy world's own depth and truth: its bodies measured with true masks, so that only the geometry can be wrong."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.geometry import measure
from lang2segtrack_ros.toyworld.suites import make_clip

LEAST_PIXELS = 150


@pytest.mark.parametrize("suite", ["easy", "crowd", "depth_only_difference"])
def test_bodies_of_a_suite(suite: str) -> None:
    """Of bodies seen whole, 95 of 100 within 2 cm or 2 %, and as wide and high within 15 %."""
    centre_errors, extent_errors = [], []
    for seed in (900_001, 900_002, 900_003):
        clip = make_clip(suite, seed)
        for index in range(0, clip.length, 4):
            frame = clip.scene.render(index)
            depth = frame.depth_mm.astype(np.float32) / 1000
            depth[frame.depth_mm == 0] = np.nan
            for number, body in frame.bodies.items():
                if body.box is None or body.fraction < 0.97 or body.visible < LEAST_PIXELS:
                    continue
                x1, y1, x2, y2 = (float(value) for value in body.box)
                surface = measure(frame.instances == number, (x1, y1, x2, y2), depth, clip.scene.camera)
                assert surface is not None
                error = np.linalg.norm(np.array(surface.middle) - body.center)
                centre_errors.append(error / max(0.02, 0.02 * body.center[2]))
                extent_errors.append(np.abs(np.array(surface.size[:2]) / body.extent[:2] - 1).max())
    assert len(centre_errors) > 30
    assert np.quantile(centre_errors, 0.95) <= 1.0
    assert np.quantile(extent_errors, 0.95) <= 0.15
