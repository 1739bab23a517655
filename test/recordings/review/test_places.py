# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The findings of a report as places of a trace, and numbers of images as positions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lang2segtrack_ros.history.records import dumps
from lang2segtrack_ros.recordings.quality.job import ReportOptions, write_report
from lang2segtrack_ros.recordings.review.places import PlaceError, position_of, read_places
from lang2segtrack_ros.recordings.review.stored import StoredTrace
from test.recordings.review.traces import write_trace

TRACKS = {1: "T" * 20 + "LLLL" + "T" * 20, 2: "T" * 44}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trace whose images have the numbers 100, 103, ...: the recording has more images than the trace."""
    folder = write_trace(tmp_path / "cups", TRACKS)
    path = folder / "tracks.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_bytes(b"".join(dumps({**record, "frame": 100 + 3 * position}) for position, record in enumerate(records)))
    return folder


def report(trace: Path, folder: Path) -> Path:
    folder.mkdir()
    write_report(trace, folder, ReportOptions(), lambda *_: None)
    return folder


def test_findings_are_places(folder: Path, tmp_path: Path) -> None:
    """Each place has the position of its image, in the order of the report."""
    trace = StoredTrace(folder)
    written = json.loads((report(folder, tmp_path / "report") / "report.json").read_text())["findings"]
    places = read_places(tmp_path / "report", trace)
    assert [(100 + 3 * place.image, 100 + 3 * place.last_image, place.track) for place in places] == [
        (item["image"], item["last_image"], item["track"]) for item in written
    ]
    assert ("gap", 20) in [(place.kind, place.image) for place in places]


def test_numbers_are_positions(folder: Path) -> None:
    trace = StoredTrace(folder)
    assert [position_of(number, trace) for number in (100, 103, 100 + 3 * 43)] == [0, 1, 43]
    for number in (-1, 0, 99, 101, 100 + 3 * 44):
        with pytest.raises(PlaceError, match=f"no image {number}: it has 44 images from 100 to 229"):
            position_of(number, trace)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: "{", "is no report that this version reads"),
        (lambda found: json.dumps({**found, "other": 1}), "is no report that this version reads"),
        (lambda found: json.dumps({**found, "version": 2}), "in version 2, not"),
        (lambda found: json.dumps({**found, "images": 43}), "is the report of 43 images, but the trace has 44"),
        (lambda found: json.dumps({**found, "findings": [{**found["findings"][0], "image": 101}]}), "on image 101, which the trace lacks"),
        (lambda found: json.dumps({**found, "findings": [{**found["findings"][0], "track": 9}]}), "names track 9"),
    ],
)
def test_wrong_report_is_refused(folder: Path, tmp_path: Path, change: Any, message: str) -> None:
    """A report of another trace would send a person to the wrong images."""
    path = report(folder, tmp_path / "report") / "report.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(PlaceError, match=message):
        read_places(tmp_path / "report", StoredTrace(folder))


def test_folder_without_report(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match=r"holds no report\.json: give the output folder"):
        read_places(tmp_path, StoredTrace(folder))
