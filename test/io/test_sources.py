# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Sources stream images in order, and return equal images in reverse order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    return writer.path


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
    assert np.array_equal(list(source.frames())[1].color, frames[9].color)
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
    with pytest.raises(SourceError, match=r"b\.png is left out: it is not a readable image"):
        list(open_source(str(tmp_path)).frames())


def write_video(path: Path, frames: list[SceneFrame], codec: str = "MJPG") -> None:
    """Write a video of 15 images a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 15.0, (320, 240))
    for frame in frames:
        writer.write(cv2.cvtColor(frame.color, cv2.COLOR_RGB2BGR))
    writer.release()


def test_damaged_part_of_a_video_does_not_end_it(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """The images behind the damage keep their times, and can be read again in reverse order."""
    path = tmp_path / "clip.avi"
    write_video(path, frames[:20])
    data = bytearray(path.read_bytes())
    starts = [index for index in range(len(data) - 3) if data[index : index + 3] == b"\xff\xd8\xff"]
    for start in starts[8:10]:
        data[start : start + 2000] = bytes(2000)
    path.write_bytes(data)
    source = open_source(str(path))
    images = list(source.frames())
    assert len(images) == 18
    assert source.skipped == [f"2 of the 20 images of {path} cannot be decoded: the file is damaged"]
    assert images[8].stamp_ns - images[7].stamp_ns == pytest.approx(3e9 / 15, abs=2e6)
    for number in range(17, -1, -1):
        np.testing.assert_array_equal(source.read(number).color, images[number].color)
        assert source.read(number).stamp_ns == images[number].stamp_ns


def test_lost_images_are_counted_without_a_length_in_the_container(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """A damaged first byte hides the header with the number of images; a damaged image was then lost silently."""
    path = tmp_path / "clip.avi"
    write_video(path, frames[:9])
    data = bytearray(path.read_bytes())
    data[0] = 0xDF
    start = [index for index in range(len(data) - 3) if data[index : index + 3] == b"\xff\xd8\xff"][4]
    data[start + 20 : start + 2000] = bytes(1980)
    path.write_bytes(data)
    source = open_source(str(path))
    assert source.length is None
    assert len(list(source.frames())) == 8
    assert source.skipped == [f"1 of the 9 images of {path} cannot be decoded: the file is damaged"]


def test_times_of_a_video_are_those_of_its_container(tmp_path: Path, frames: list[SceneFrame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones and screen recorders vary the rate. A mean rate made an absence of 5.5 s one of 2.6 s."""
    path = tmp_path / "clip.avi"
    write_video(path, frames[:6])
    times = iter([0.0, 33.0, 66.0, 66.0, float("nan"), 900.0])

    class VaryingCapture:
        def __init__(self, name: str) -> None:
            self._capture = capture(name)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._capture, name)

        def get(self, name: int) -> float:
            return next(times) if name == cv2.CAP_PROP_POS_MSEC else float(self._capture.get(name))

    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", VaryingCapture)
    stamps = [frame.stamp_ns / 1e6 for frame in open_source(str(path)).frames()]
    assert stamps == pytest.approx([0, 33, 66, 66 + 1e3 / 15, 66 + 2e3 / 15, 900], abs=0.01), "repeated and missing times go on at the rate"


def test_rate_is_refused_for_a_source_with_a_rate(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """It would be ignored."""
    write_video(tmp_path / "clip.avi", frames[:2])
    with pytest.raises(SourceError, match="has an image rate of its own: --fps is for folders"):
        open_source(str(tmp_path / "clip.avi"), 5.0)
    with pytest.raises(SourceError, match='there is no file, folder or camera "\u00b2"'):
        open_source("\u00b2")
