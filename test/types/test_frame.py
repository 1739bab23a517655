# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Frames and camera models validate their fields."""

from __future__ import annotations

import numpy as np
import pytest

from lang2segtrack_ros.types.frame import CameraModel, Frame, FrameError


@pytest.mark.parametrize(
    "color",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        [[0, 0, 0]],
    ],
)
def test_invalid_color_is_refused(color: object) -> None:
    """The engine needs a uint8 RGB image with at least one pixel."""
    with pytest.raises(FrameError, match="color"):
        Frame(color)  # type: ignore[arg-type]


def test_depth_in_millimeters_is_refused() -> None:
    """Many drivers publish depth as uint16 in millimeters. The engine needs float32 in meters."""
    with pytest.raises(FrameError, match="in meters, not uint16"):
        Frame(np.zeros((4, 4, 3), np.uint8), depth=np.zeros((4, 4), np.uint16))  # type: ignore[arg-type]


def test_camera_without_calibration_is_refused() -> None:
    """Uncalibrated drivers publish zero focal lengths."""
    with pytest.raises(FrameError, match="calibrate the camera"):
        CameraModel(0.0, 0.0, 0.0, 0.0, 640, 480)
