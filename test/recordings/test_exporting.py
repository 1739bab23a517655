# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The memory of an export does not grow with the number of images."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from lang2segtrack_ros.history.records import dumps, frame_record
from lang2segtrack_ros.io.exports.pictures import Pictures
from lang2segtrack_ros.io.exports.registry import FORMATS, Format
from lang2segtrack_ros.io.exports.trace import LabeledFrame, Trace, TraceInfo
from lang2segtrack_ros.io.exports.writer import LabelWriter
from lang2segtrack_ros.recordings.exporting import write_exports
from lang2segtrack_ros.types.results import FrameResult
from test.io.exports.traces import rectangle, track

FRAMES, FEW = 4000, 500
HEIGHT, WIDTH = 24, 32
ALLOWED_BYTES = 250_000
SINGLE = ("coco", "ytvis", "mot", "cvat", "labelstudio")
"""Formats with one file for all images; the other two of CVAT share the code of the first."""
MANY = ("mots", "davis", "yolo-seg")
"""Formats with a file for each image."""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a trace of 4,000 images with two moving objects."""
    path = tmp_path_factory.mktemp("long") / "tracks.jsonl"
    masks = [rectangle(step, step // 2, step + 8, step // 2 + 6, HEIGHT, WIDTH) for step in range(20)]
    lines = [
        dumps(frame_record(FrameResult(0, 0, HEIGHT, WIDTH, tuple(track(number, masks[(step + 7 * number) % 20]) for number in (1, 3)))))
        for step in range(20)
    ]
    start = b'{"frame":0,"stamp_ns":0,'
    with path.open("wb") as file:
        for number in range(FRAMES):
            assert lines[number % 20].startswith(start)
            file.write(b'{"frame":%d,"stamp_ns":%d,' % (number, number * 33_000_000) + lines[number % 20][len(start) :])
    return path


def peak(long: Path, count: int, formats: Sequence[Format], folder: Path) -> int:
    """Return the largest size of Python's and NumPy's memory during the export of the first images in all formats at once."""
    path = folder / "part.jsonl"
    folder.mkdir()
    with long.open("rb") as source, path.open("wb") as target:
        for _ in range(count):
            target.write(source.readline())
    tracemalloc.start()
    try:
        write_exports(Trace(path, "clip"), formats, [folder / item.name for item in formats], Pictures(), lambda *_: None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # pytest would keep each of them
@pytest.mark.parametrize(("names", "frames"), [(SINGLE, FRAMES), (MANY, FRAMES // 5)], ids=["single", "many"])
def test_peak_stays_the_same(tmp_path: Path, long: Path, names: Sequence[str], frames: int) -> None:
    """A recording of an hour has 100,000 images. Many times as many images may not need more memory than a few buffers.

    Formats with one file for all images could keep them. The others write a file for each image, so fewer images show the same.
    `python -m bench.exports` measures ten minutes.
    """
    few, many = (peak(long, count, [FORMATS[name] for name in names], tmp_path / str(count)) for count in (FEW, frames))
    assert many - few < ALLOWED_BYTES


class _Keeper(LabelWriter):
    """A writer that keeps what a format with one large array invites to keep: box, id and run lengths of each object."""

    kept: list[object]

    def begin(self, info: TraceInfo) -> None:
        super().begin(info)
        self.kept = []

    def write(self, frame: LabeledFrame) -> None:
        self.kept.append([(item.id, item.box, item.rle.counts) for item in frame.objects])

    def end(self) -> None:
        assert self.kept


def test_a_writer_that_keeps_its_input_would_fail(tmp_path: Path, long: Path) -> None:
    """The bound is below the size of the input."""
    item = Format("keeper", _Keeper, "", "", "")
    few, many = (peak(long, count, [item], tmp_path / str(count)) for count in (FEW, FRAMES))
    assert many - few > ALLOWED_BYTES
