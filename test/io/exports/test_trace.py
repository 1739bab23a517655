# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Stored traces: their summary, and the sentence for each fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lang2segtrack_ros.io.exports.registry import FORMATS, parse_formats
from lang2segtrack_ros.io.exports.trace import Trace, TraceError
from lang2segtrack_ros.types.results import FrameResult
from test.io.exports.traces import HEIGHT, WIDTH, check_equal, export, rectangle, track, truth_of, write_trace


def test_summary(odd: Path) -> None:
    """All writers rely on it before the first image."""
    info = Trace(odd, "a name/with parts").info
    assert (info.name, info.length, info.height, info.width) == ("a_name_with_parts", 10, HEIGHT, WIDTH)
    assert list(info.labels) == [1, 2, 3, 4, 6]
    assert list(info.categories.values()) == [1, 2, 3, 4]
    assert (info.hidden, info.unconfirmed) == (2, 1)
    assert 5 in Trace(odd, "clip", keep_unconfirmed=True).info.labels


def test_frames_have_the_masks_of_the_records(trace: Path) -> None:
    """The older reader of records and this one must agree."""
    check_equal([{item.id: item.mask for item in frame.objects} for frame in Trace(trace, "clip").frames()], truth_of(trace))


def test_latest_label_counts_for_the_whole_trace(tmp_path: Path) -> None:
    """A name can be corrected while tracking, and no format has two names for one object."""
    results = [FrameResult(number, number, HEIGHT, WIDTH, (track(3, rectangle(1, 1, 5, 5)),)) for number in range(2)]
    path = write_trace(tmp_path / "tracks.jsonl", results)
    first, second = path.read_text().splitlines()
    path.write_text(f"{first.replace('red mug', 'cup')}\n{second}\n")
    assert {item.label for frame in Trace(path, "clip").frames() for item in frame.objects} == {"red mug"}


def broken(line: int, **values: object) -> str:
    """Return two records of which one has other values."""
    records = [
        {"frame": number, "stamp_ns": number, "height": 4, "width": 4, "tracks": [track_of(number)]} | (values if number == line else {})
        for number in range(2)
    ]
    return "".join(f"{json.dumps(record)}\n" for record in records)


def track_of(number: int, **values: object) -> dict[str, object]:
    rle = {"size": [4, 4], "counts": "04<"}
    return {"id": 1, "label": "a", "state": "tracked", "score": 1.0, "box": [0, 0, 1, 4], "rle": rle, **values}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no record"),
        ('{"frame": 0}\n', r"line 1 of .* is not a record of a trace \(it has no 'stamp_ns'\): track again, or repair the line"),
        (broken(5) + '{"frame": 2, "sta', r"line 3 of .* is not a record .*Unterminated string"),
        (
            broken(1, tracks=[track_of(1, rle={"size": [5, 4], "counts": "04@"})]),
            "line 2 .*the mask of object 1 has 4 x 5 pixels, the image 4 x 4",
        ),
        (broken(1, tracks=[track_of(1, box="left")]), "line 2 .*could not convert string to float"),
        (broken(1, tracks=[track_of(1, rle={"size": [4, 4], "counts": ""})]), "line 2 .*the mask of object 1 has the counts ''"),
        (broken(1, tracks=None), "line 2 .* is not a record"),
        (broken(1, tracks=[track_of(1, label=None)]), "line 2 .* is not a record"),
        ("[1]\n", "line 1 .* is not a record"),
        (broken(0, tracks=[]).splitlines()[0] + "\n", "shows no object on its 1 images, so there is nothing to export"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    """A file may be cut, edited by hand, or no trace at all."""
    path = tmp_path / "tracks.jsonl"
    path.write_text(text)
    with pytest.raises(TraceError, match=message):
        list(Trace(path, "clip").frames())


@pytest.mark.parametrize("name", ["davis", "ytvis"])
def test_damaged_masks_are_named(tmp_path: Path, name: str) -> None:
    """A mask is decoded only where a format needs its pixels or runs."""
    path = tmp_path / "tracks.jsonl"
    path.write_text(broken(1, tracks=[track_of(1, rle={"size": [4, 4], "counts": "zzzz"})]))
    with pytest.raises(TraceError, match=r"a mask of object 1 cannot be decoded .*: track again, or remove it from the trace"):
        export(path, name, tmp_path / "out")


def test_unknown_format_is_named() -> None:
    """The user has to know which ones there are."""
    with pytest.raises(TraceError, match='there is no format "pascal"; the formats are coco, ytvis, mot'):
        parse_formats(["coco", "pascal"])
    assert [item.name for item in parse_formats(["coco,mot", "coco", " davis "])] == ["coco", "mot", "davis"]


@pytest.mark.parametrize("name", FORMATS)
def test_images_of_another_size_are_counted(tmp_path: Path, name: str) -> None:
    """A folder may mix sizes. Formats with one size keep the image in its place and leave out its objects."""
    sizes = [(HEIGHT, WIDTH), (20, 30), (HEIGHT, WIDTH)]
    results = [
        FrameResult(number, number, height, width, (track(3, rectangle(1, 1, 9, 9, height, width)),))
        for number, (height, width) in enumerate(sizes)
    ]
    sentences = export(write_trace(tmp_path / "tracks.jsonl", results), name, tmp_path / "out")
    expected = [] if name in ("coco", "davis", "yolo-seg") else [f"{name}: 1 objects on images of another size than the first, 53 x 37"]
    assert [line for line in sentences if "another size" in line] == expected


@pytest.mark.parametrize("name", FORMATS)
def test_same_trace_gives_the_same_bytes(tmp_path: Path, odd: Path, name: str) -> None:
    """Data sets are compared by checksum, so no time, no random number and no order of a hash may enter."""
    contents = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        export(odd, name, folder)
        contents.append({path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
    assert contents[0] == contents[1]
    assert contents[0]
