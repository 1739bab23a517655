# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Results are equal after writing and reading, and a truncated file of records can be resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.history.records import RecordFile, dumps, frame_record, read_frame
from lang2segtrack_ros.types.results import FrameResult, Source, Track, TrackStatus

MASK = np.zeros((6, 8), bool)
MASK[2:4, 3:7] = True


def result(index: int = 3) -> FrameResult:
    visible = Track(1, "red circle", TrackStatus.TRACKED, 0.9, (3.0, 2.0, 7.0, 4.0), MASK, 0.9, 5.0, math.nan, 4, 0, Source.MERGED)
    hidden = Track(7, "", TrackStatus.LOST, 0.0, None, np.zeros_like(MASK), 0.1, -3.0, 0.5, 0, 12)
    return FrameResult(5_000_000_001, index, 6, 8, (visible, hidden), prompted=(1,))


def test_result_is_equal_after_writing_and_reading() -> None:
    """A stamp needs all 64 bits, and JSON has no NaN."""
    line = dumps(frame_record(result()))
    assert b"NaN" not in line
    restored = read_frame(json.loads(line))
    assert (restored.stamp_ns, restored.index, restored.height, restored.width, restored.prompted) == (5_000_000_001, 3, 6, 8, (1,))
    for track, other in zip(restored.tracks, result().tracks):
        assert np.array_equal(track.mask, other.mask)
        assert track.rle == other.rle
        for name in ("id", "label", "state", "score", "box", "source", "stable_frames", "frames_since_seen", "object_score"):
            assert getattr(track, name) == getattr(other, name), name
    assert math.isnan(restored.tracks[0].motion_score)


def test_record_file_returns_any_frame(tmp_path: Path) -> None:
    """A backward pass appends falling frame numbers and skips some."""
    file = RecordFile(tmp_path / "deep" / "a.jsonl")
    for number in (9, 7, 4):
        file.append(frame_record(result(number)))
    assert file[7]["frame"] == 7
    file.append(frame_record(result(2)))
    assert list(file) == [2, 4, 7, 9]
    assert file.get(5) is None


def test_record_file_resumes_after_an_incomplete_line(tmp_path: Path) -> None:
    """A killed process can leave an incomplete line. The resumed file must keep the complete records and drop the rest."""
    path = tmp_path / "a.jsonl"
    file = RecordFile(path)
    for number in range(3):
        file.append(frame_record(result(number)))
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="holds 2 whole records, not 3"):
        RecordFile(path, keep=3)
    resumed = RecordFile(path, keep=2)
    resumed.append(frame_record(result(2)))
    resumed.close()
    assert path.read_bytes() == whole
