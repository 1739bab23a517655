# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Written video and image files can be read again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.writers import VideoWriter, write_png


def test_video_has_all_frames_in_the_right_colors(tmp_path: Path) -> None:
    """OpenCV writes BGR, so swapped channels are an easy mistake."""
    with VideoWriter(tmp_path / "deep" / "a.mp4", 10.0) as video:
        for _ in range(7):
            video.write(np.full((64, 96, 3), (200, 30, 30), np.uint8))
    reader = cv2.VideoCapture(str(tmp_path / "deep" / "a.mp4"))
    images = []
    while (read := reader.read())[0]:
        images.append(read[1])
    assert len(images) == 7
    blue, green, red = images[3].reshape(-1, 3).mean(axis=0)
    assert red > 180 > 60 > max(green, blue), "RGB in must be red in the file"


def test_video_that_cannot_be_written_raises(tmp_path: Path) -> None:
    """OpenCV itself only returns a closed writer."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"), VideoWriter(tmp_path / "file" / "a.mp4", 10.0) as video:
        video.write(np.zeros((8, 8, 3), np.uint8))


def test_png_has_the_right_colors(tmp_path: Path) -> None:
    """OpenCV writes BGR, so swapped channels are an easy mistake."""
    write_png(tmp_path / "a.png", np.full((4, 4, 3), (1, 2, 3), np.uint8))
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [3, 2, 1]
