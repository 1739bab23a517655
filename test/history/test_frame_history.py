# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Frames that a history keeps, frames that it drops, and its reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.history.frame_history import FrameHistory, FrameUnavailableError
from lang2segtrack_ros.segmentation.sam2 import Sam2Segmenter
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.tracking.stream_tracker import StreamTracker
from lang2segtrack_ros.types.frame import Frame
from lang2segtrack_ros.types.results import FrameResult

SECOND = 1_000_000_000


def fill(history: FrameHistory, frames: Sequence[SceneFrame], count: int, step_ns: int = SECOND // 10) -> None:
    start = history.numbers()[-1] + 1 if len(history) else 0
    for number in range(start, start + count):
        frame = Frame(frames[number].color, number * step_ns)
        history.add(frame, FrameResult(frame.stamp_ns, number, frame.height, frame.width))


@pytest.mark.parametrize("on_disk", [False, True])
def test_history_returns_images_and_results(tmp_path: Path, frames: list[SceneFrame], on_disk: bool) -> None:
    """A backward pass reads both, from memory or from disk."""
    history = FrameHistory(folder=tmp_path if on_disk else None)
    fill(history, frames, 5)
    restored = history.frame(3)
    assert restored.stamp_ns == 3 * SECOND // 10
    assert np.abs(restored.color.astype(int) - frames[3].color).mean() < 4, "JPEG must change the image only slightly"
    assert history.record(3)["frame"] == 3
    assert history.numbers() == list(range(5))
    history.close()
    assert list(tmp_path.iterdir()) == [], "close must remove the subfolder"


def test_lossless_history_returns_equal_images(frames: list[SceneFrame]) -> None:
    """PNG exists for users who need every bit."""
    history = FrameHistory(lossless=True)
    fill(history, frames, 2)
    assert np.array_equal(history.frame(1).color, frames[1].color)


@pytest.mark.parametrize("on_disk", [False, True])
def test_bound_in_bytes_drops_the_oldest_frames(tmp_path: Path, frames: list[SceneFrame], on_disk: bool) -> None:
    """Memory or disk would otherwise fill up. The history must also report the drop."""
    history = FrameHistory(max_bytes=150_000, folder=tmp_path if on_disk else None)
    for _ in range(6):
        fill(history, frames, 5)
        assert history.bytes_used <= 150_000
    assert history.dropped == 30 - len(history)
    assert 0 < len(history) < 15
    assert f"{history.dropped} older frames were dropped" in history.describe()
    if on_disk:
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(history)
    with pytest.raises(FrameUnavailableError, match=r"frame 0 is not available: frames \d+ to 29 are available"):
        history.frame(0)


def test_bound_in_seconds_drops_the_oldest_frames(frames: list[SceneFrame]) -> None:
    """Users set this bound in seconds, by the stamps of the images."""
    history = FrameHistory(max_seconds=2.0)
    fill(history, frames, 40)
    assert history.seconds == pytest.approx(2.0)
    assert history.numbers()[0] == 19


def test_clock_jump_drops_no_frame(frames: list[SceneFrame]) -> None:
    """A looping bag steps back, and a synchronized clock can jump by hours. Neither may empty the history."""
    history = FrameHistory(max_seconds=3.0)
    for number, stamp in enumerate((0, 1, 3600 * 10, 5, 6)):
        history.add(Frame(frames[number].color, stamp * SECOND // 10), FrameResult(0, number, 240, 320))
    assert len(history) == 5


def test_frame_larger_than_the_bound_leaves_an_empty_history(frames: list[SceneFrame]) -> None:
    """The bound holds even for a single frame."""
    history = FrameHistory(max_bytes=100)
    fill(history, frames, 1)
    assert len(history) == 0
    assert history.bytes_used == 0


def test_history_drops_features_before_frames(segmenter: Sam2Segmenter, frames: list[SceneFrame]) -> None:
    """Encoded images are ten times as large, and a dropped one costs only time. A dropped frame is lost."""
    features = StreamTracker(segmenter).encode(Frame(frames[0].color))
    history = FrameHistory(max_bytes=2_500_000, keep_features=True)
    for number in range(20):
        history.add(Frame(frames[number].color), FrameResult(0, number, 240, 320), features)
        assert history.bytes_used <= 2_500_000
    assert history.numbers() == list(range(20))
    assert history.features(0) is None
    assert history.features(19) is not None
    kept = [number for number in range(20) if history.features(number) is not None]
    assert kept == list(range(20 - len(kept), 20)), "the newest frames must keep their features"


def test_failed_write_skips_the_frame_and_is_reported(tmp_path: Path, frames: list[SceneFrame]) -> None:
    """A full disk must not stop the stream. This test renames the folder of the history to make writes fail."""
    history = FrameHistory(folder=tmp_path)
    fill(history, frames, 2)
    for path in tmp_path.iterdir():
        path.rename(tmp_path.parent / "renamed")
    history.add(Frame(frames[2].color), FrameResult(0, 2, 240, 320))
    assert history.failures == 1
    assert "frame 2 could not be stored" in history.describe()
    with pytest.raises(FrameUnavailableError, match="frame 1 cannot be read"):
        history.frame(1)


@pytest.mark.parametrize("bounds", [{"max_seconds": 0}, {"max_bytes": 0}])
def test_bound_of_zero_is_refused(bounds: dict[str, int]) -> None:
    """Such a history could never hold a frame."""
    with pytest.raises(ValueError, match="must be positive"):
        FrameHistory(**bounds)
