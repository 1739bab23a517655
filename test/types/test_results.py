# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Frames, tracks and results print short texts. Their arrays would fill pages of a notebook."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lang2segtrack_ros.types.frame import CameraModel, Frame
from lang2segtrack_ros.types.results import FrameResult
from test.identity.synthetic import track


def test_texts_are_short_and_name_what_matters() -> None:
    color = np.zeros((48, 64, 3), np.uint8)
    depth = np.ones((24, 32), np.float32)
    camera = CameraModel(1.0, 1.0, 0.0, 0.0, 64, 48)
    assert repr(Frame(color, 5)) == "Frame(64 x 48, stamp_ns=5)"
    assert repr(Frame(color, 5, depth, camera)) == "Frame(64 x 48, stamp_ns=5, depth 32 x 24, camera)"
    shown, hidden = track(3), track(4, None)
    assert repr(shown) == "Track(3, 'red circle', TRACKED, score=0.90, box=(10, 5, 20, 15))"
    assert repr(replace(hidden, score=0.0)) == "Track(4, 'red circle', TRACKED, score=0.00, hidden)"
    result = FrameResult(5, 7, 48, 64, (shown,))
    assert repr(result) == f"FrameResult(7, 64 x 48, stamp_ns=5, tracks=[{shown!r}])"
