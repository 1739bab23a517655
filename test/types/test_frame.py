# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Frames check what they are made of."""

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
def test_color_is_refused(color: object) -> None:
    with pytest.raises(FrameError, match="color"):
        Frame(color)  # type: ignore[arg-type]


def test_depth_is_refused_in_millimetres() -> None:
    with pytest.raises(FrameError, match="in metres, not uint16"):
        Frame(np.zeros((4, 4, 3), np.uint8), depth=np.zeros((4, 4), np.uint16))  # type: ignore[arg-type]


def test_camera_without_calibration_is_refused() -> None:
    with pytest.raises(FrameError, match="calibrated"):
        CameraModel(0.0, 0.0, 0.0, 0.0, 640, 480)
