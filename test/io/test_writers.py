# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Written video and image files can be read again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io.writers import VideoWriter, write_png
from test.browser import chromium


def test_video_has_all_frames_in_the_right_colors(tmp_path: Path) -> None:
    """OpenCV writes BGR, so swapped channels are an easy mistake."""
    with VideoWriter(tmp_path / "deep" / "a.webm", 10.0) as video:
        for _ in range(7):
            video.write(np.full((64, 96, 3), (200, 30, 30), np.uint8))
    reader = cv2.VideoCapture(str(tmp_path / "deep" / "a.webm"))
    images = []
    while (read := reader.read())[0]:
        images.append(read[1])
    assert len(images) == 7
    blue, green, red = images[3].reshape(-1, 3).mean(axis=0)
    assert red > 180 > 60 > max(green, blue), "RGB in must be red in the file"


def test_video_that_cannot_be_written_raises(tmp_path: Path) -> None:
    """OpenCV itself only returns a closed writer."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"), VideoWriter(tmp_path / "file" / "a.webm", 10.0) as video:
        video.write(np.zeros((8, 8, 3), np.uint8))


def test_png_has_the_right_colors(tmp_path: Path) -> None:
    """OpenCV writes BGR, so swapped channels are an easy mistake."""
    write_png(tmp_path / "a.png", np.full((4, 4, 3), (1, 2, 3), np.uint8))
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [3, 2, 1]


def test_video_plays_in_a_browser(tmp_path: Path) -> None:
    """MPEG-4 part 2 plays in no browser and in no notebook. The page plays the video to its end."""
    with VideoWriter(tmp_path / "a.webm", 10.0) as video:
        for number in range(8):
            image = np.full((64, 96, 3), 40, np.uint8)
            image[:, 10 * number : 10 * number + 20] = (250, 200, 20)
            video.write(image)
    (tmp_path / "page.html").write_text('<video src="a.webm" muted></video>')
    with chromium() as browser:
        tab = browser.new_page()
        tab.goto((tmp_path / "page.html").as_uri())
        played = tab.evaluate(
            """async () => {
                const video = document.querySelector("video");
                const ended = new Promise((done, failed) => {
                    video.onended = done;
                    video.onerror = () => failed(new Error(video.error.message));
                });
                await video.play();
                await ended;
                return [video.videoWidth, video.videoHeight, video.currentTime];
            }"""
        )
    assert played == [96, 64, pytest.approx(0.8, abs=0.15)]


def test_codec_warning_of_opencv_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """OpenCV says that WebM has no tag for VP8, which a user would take for a fault."""
    with VideoWriter(tmp_path / "a.webm", 10.0) as video:
        video.write(np.zeros((64, 96, 3), np.uint8))
    assert capfd.readouterr().err == ""
