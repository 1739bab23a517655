# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic traces: rectangles that move as a test wants, one record for each image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lang2segtrack_ros.history.records import dumps, frame_record
from lang2segtrack_ros.recordings.quality.findings import Finding, Kind
from lang2segtrack_ros.recordings.quality.report import QualityReport, analyze
from lang2segtrack_ros.recordings.quality.samples import read_samples
from lang2segtrack_ros.types.results import FrameResult, Source, Track, TrackStatus
from lang2segtrack_ros.types.rle import mask_box

HEIGHT, WIDTH = 120, 200
PERIOD_NS = 66_666_667
COUNT = 60


@dataclass(frozen=True)
class Shape:
    """A rectangle on one image.

    Attributes:
        x, y: center in pixels.
        side: width and height in pixels.
        score, agreement, confidence, source, label, state: as in `Track`.
    """

    x: float
    y: float
    side: float = 20
    score: float = 0.9
    agreement: float = math.nan
    confidence: float = math.nan
    source: Source = Source.FORWARD
    label: str = "cup"
    state: TrackStatus = TrackStatus.TRACKED


Script = Callable[[int], "Shape | None"]
"""Image number -> the shape; None while it is hidden."""


def steady(y: float = 60, x: float = 40, speed: float = 1.5, **values: object) -> Script:
    """Return a shape that moves to the right, as a clean track does."""
    return lambda number: Shape(x + speed * number, y, **values)  # type: ignore[arg-type]


def result(number: int, scripts: dict[int, Script]) -> FrameResult:
    """Return the result of one image."""
    tracks = []
    for track_id, script in scripts.items():
        shape = script(number)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        if shape is None:
            tracks.append(Track(track_id, "cup", TrackStatus.OCCLUDED, 0.0, None, mask, 0.0, -1.0, math.nan, 0))
            continue
        half = shape.side / 2
        y1, y2, x1, x2 = (max(round(value), 0) for value in (shape.y - half, shape.y + half, shape.x - half, shape.x + half))
        mask[y1:y2, x1:x2] = True
        tracks.append(
            Track(
                track_id,
                shape.label,
                shape.state,
                shape.score,
                mask_box(mask),
                mask,
                shape.score,
                5.0,
                math.nan,
                0,
                source=shape.source,
                agreement=shape.agreement,
                confidence=shape.confidence,
            )
        )
    return FrameResult(number * PERIOD_NS, number, HEIGHT, WIDTH, tuple(tracks))


def write(path: Path, scripts: dict[int, Script], numbers: Iterable[int] = range(COUNT)) -> Path:
    """Write a trace."""
    with path.open("wb") as file:
        for number in numbers:
            file.write(dumps(frame_record(result(number, scripts))))
    return path


def report_of(folder: Path, scripts: dict[int, Script], numbers: Iterable[int] = range(COUNT)) -> QualityReport:
    """Write and analyze a trace."""
    return analyze(read_samples(write(folder / "tracks.jsonl", scripts, numbers)), "clip")


def of_kind(report: QualityReport, kind: Kind) -> list[Finding]:
    """Return the findings of one kind."""
    return [item for item in report.findings if item.kind is kind]


def kinds(report: QualityReport) -> set[str]:
    """Return the kinds of all findings."""
    return {item.kind.value for item in report.findings}


def crossing(exchange_at: int | None = None) -> dict[int, Script]:
    """Return two shapes of different paths that cross on image 30, half hidden, with ids exchanged from an image on."""

    def one(number: int) -> Shape:
        return Shape(40 + 2 * number, 40 + number * 0.7)

    def other(number: int) -> Shape:
        return Shape(160 - 2 * number, 52 + number * 0.7, 24)

    def is_exchanged(number: int) -> bool:
        return exchange_at is not None and number >= exchange_at

    return {
        1: lambda number: (other if is_exchanged(number) else one)(number),
        2: lambda number: (one if is_exchanged(number) else other)(number),
    }


def hidden_between(script: Script, first: int, last: int) -> Script:
    """Return a script that hides its shape on some images."""
    return lambda number: None if first <= number <= last else script(number)


def lines(scripts: dict[int, Script], count: int) -> Iterator[bytes]:
    """Yield the records of many images. The shapes of the first 60 images repeat, so that writing is fast."""
    records = [frame_record(result(number, scripts)) for number in range(COUNT)]
    for number in range(count):
        yield dumps({**records[number % COUNT], "frame": number, "stamp_ns": number * PERIOD_NS})
