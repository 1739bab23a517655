# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""DAVIS, read by Pillow, TrackEval's way, and by our own benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lang2segtrack_ros.evaluation.real_clips import davis_sequences
from lang2segtrack_ros.io.exports.davis import RESOLUTION
from lang2segtrack_ros.io.exports.id_image import compact_ids, davis_palette
from lang2segtrack_ros.io.exports.pictures import Picture, Pictures
from lang2segtrack_ros.toyworld.scene import SceneFrame
from lang2segtrack_ros.types.results import FrameResult
from test.io.exports.traces import Truth, check_equal, export, rectangle, track, without_overlaps, write_trace

Image = pytest.importorskip("PIL.Image", reason="the format's reader")


def test_pillow_reads_the_numbers_of_the_objects(tmp_path: Path, trace: Path) -> None:
    """All tools for DAVIS read the indices of the palette with Pillow, as this test does."""
    export(trace, "davis", tmp_path)
    found: Truth = []
    for file in sorted((tmp_path / "Annotations" / RESOLUTION / "my_clip").glob("*.png")):
        picture = Image.open(file)
        assert picture.mode == "P"
        values = np.array(picture)
        found.append({value: values == value for value in np.unique(values).tolist() if value})
    check_equal(found, without_overlaps(trace))


def test_palette_is_that_of_davis(tmp_path: Path, odd: Path) -> None:
    """The colors of DAVIS are those of PASCAL VOC: dark red, dark green, olive, dark blue, ..."""
    assert davis_palette()[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    export(odd, "davis", tmp_path)
    picture = Image.open(tmp_path / "Annotations" / RESOLUTION / "my_clip" / "00000.png")
    assert np.array(picture.getpalette()).reshape(-1, 3).tolist() == davis_palette().tolist()
    colors = np.array(picture.convert("RGB"))
    assert colors[35, 2].tolist() == davis_palette()[6].tolist()


def test_the_benchmark_of_this_package_reads_the_folder(tmp_path: Path, tracked: Path, frames: list[SceneFrame]) -> None:
    """`lang2segtrack bench davis` needs images and masks of the same number, under the names of DAVIS."""
    pictures = Pictures("frames", (Picture(number, frame.color) for number, frame in enumerate(frames)), placed=True)
    export(tracked, "davis", tmp_path, pictures)
    (sequence,) = davis_sequences(tmp_path, "val", RESOLUTION)
    assert sequence.name == "my_clip"
    assert len(sequence.images) == len(sequence.truth) == 10
    image = np.asarray(Image.open(sequence.images[3])).astype(int)
    distances = [np.abs(image - frame.color).mean() for frame in frames[:10]]
    assert np.argmin(distances) == 3, "the image of its frame, but for the loss of JPEG"


def test_numbers_above_254_are_assigned_anew(tmp_path: Path) -> None:
    """8 bits hold 254 objects, because 255 is the ignored region. After a long run the ids are higher, although few objects are left."""
    assert compact_ids([3, 254], 254) == {3: 3, 254: 254}
    assert compact_ids([9, 300, 255], 254) == {9: 1, 255: 2, 300: 3}
    mask = rectangle(3, 3, 5, 5)
    path = write_trace(tmp_path / "trace.jsonl", [FrameResult(number, number, 37, 53, (track(number + 1, mask),)) for number in range(256)])
    sentences = export(path, "davis", tmp_path / "out")
    assert "davis: 2 masks of objects beyond 254" in sentences
    assert (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8").splitlines()[-1] == "254 254 cup"
    assert not np.array(Image.open(tmp_path / "out" / "Annotations" / RESOLUTION / "my_clip" / "00255.png")).any()
