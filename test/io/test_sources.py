# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Sources stream images in order, and return equal images in reverse order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lang2segtrack_ros.io import sources
from lang2segtrack_ros.io.sources import FolderSource, SourceError, VideoSource, open_source
from lang2segtrack_ros.io.writers import VideoWriter, write_png
from lang2segtrack_ros.toyworld.scene import SceneFrame


def video(path: Path, frames: list[SceneFrame], count: int = 30) -> Path:
    with VideoWriter(path, 12.5) as writer:
        for frame in frames[:count]:
            writer.write(frame.color)
    return path


def test_reverse_reading_of_a_video_gives_equal_images(tmp_path: Path, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """A backward pass reads a video in reverse. The source must hold only one chunk of images in memory."""
    monkeypatch.setattr(sources, "CHUNK_BYTES", 7 * 320 * 240 * 3)
    source = VideoSource(video(tmp_path / "a.mp4", frames))
    forward = [frame.color for frame in source.frames()]
    assert len(forward) == 30
    for number in reversed(range(30)):
        image = source.read(number)
        assert np.array_equal(image.color, forward[number])
        assert image.stamp_ns == number * 80_000_000
        assert len(source._chunk) <= 8


def test_inexact_seek_is_detected(tmp_path: Path, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Some codecs seek to a neighboring image. In this test every seek ends one image too far."""
    source = VideoSource(video(tmp_path / "a.mp4", frames))
    forward = [frame.color for frame in source.frames()]
    real = cv2.VideoCapture

    class InexactCapture:
        def __init__(self, name: str) -> None:
            self._real = real(name)

        def set(self, name: int, value: float) -> bool:
            return self._real.set(name, value + 1)

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

    monkeypatch.setattr(cv2, "VideoCapture", InexactCapture)
    assert np.array_equal(source.read(20).color, forward[20])
    assert source.failed_seeks == 1


def test_folder_orders_numbers_by_value(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """In alphabetical order image10 would come before image9."""
    for number in (10, 9, 1):
        write_png(tmp_path / f"image{number}.png", frames[number].color)
    (tmp_path / "notes.txt").write_text("no image")
    source = FolderSource(tmp_path)
    assert [path.name for path in source.files] == ["image1.png", "image9.png", "image10.png"]
    assert np.array_equal(source.read(1).color, frames[9].color)


def test_invalid_source_is_refused(tmp_path: Path) -> None:
    """The user must learn which part of the source is wrong."""
    with pytest.raises(SourceError, match="there is no image in"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match='no file, folder or camera "nowhere"'):
        open_source("nowhere")
    (tmp_path / "a.mp4").write_bytes(b"this is no video")
    with pytest.raises(SourceError, match="cannot be opened as a video"):
        open_source(str(tmp_path / "a.mp4"))
    (tmp_path / "b.png").write_bytes(b"nor this an image")
    with pytest.raises(SourceError, match=r"b\.png: it is not a readable image"):
        list(open_source(str(tmp_path)).frames())
