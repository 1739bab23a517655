# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""Places of a trace to check, from the findings of `lang2segtrack report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from lang2segtrack_ros.recordings.quality.document import FORMAT, VERSION, FindingEntry, ReportDocument
from lang2segtrack_ros.recordings.quality.job import JSON
from lang2segtrack_ros.recordings.quality.page import KIND_NAMES
from lang2segtrack_ros.recordings.review.stored import StoredTrace


class PlaceError(ValueError):
    """The report or the image cannot be used; the message says what to do."""


@dataclass(frozen=True)
class Place:
    """A place to check.

    Attributes:
        image: position of the image in the trace, from 0.
        last_image: position of the last image with this finding.
        track: id of the track.
        other: id of a second track that takes part; None for none.
        kind: name of the finding.
        severity: "high", "medium" or "low".
        reason: sentences of the finding.
    """

    image: int
    last_image: int
    track: int
    other: int | None
    kind: str
    severity: str
    reason: str


def read_places(folder: Path, trace: StoredTrace) -> list[Place]:
    """Return the findings of a report in their order.

    Args:
        folder: output folder of `lang2segtrack report`.
        trace: the trace of the report.

    Raises:
        PlaceError: there is no report, it cannot be read, or it is that of another trace.
        OSError: the file cannot be read.
    """
    path = folder / JSON
    if not path.is_file():
        raise PlaceError(f"{folder} holds no {JSON}: give the output folder of lang2segtrack report")
    try:
        report = ReportDocument.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise PlaceError(f"{path} is no report that this version reads: write it again with lang2segtrack report") from error
    if (report.format, report.version) != (FORMAT, VERSION):
        raise PlaceError(f"{path} has format {report.format!r} in version {report.version}, not {FORMAT!r} in version {VERSION}")
    if report.images != trace.images:
        raise PlaceError(f"{path} is the report of {report.images} images, but the trace has {trace.images}: write the report again")
    return [_place(item, trace, path) for item in report.findings]


def _place(item: FindingEntry, trace: StoredTrace, path: Path) -> Place:
    first, last = trace.position(item.image), trace.position(item.last_image)
    if first is None or last is None or item.track not in trace.timeline.states:
        raise PlaceError(f"{path} names track {item.track} on image {item.image}, which the trace lacks: write the report again")
    return Place(first, last, item.track, item.other, KIND_NAMES.get(item.kind, item.kind), item.severity, item.reason)


def position_of(image: int, trace: StoredTrace) -> int:
    """Return the position of an image.

    Args:
        image: its number, as in `tracks.jsonl`.
        trace: the trace.

    Raises:
        PlaceError: the trace has no such image.
    """
    position = trace.position(image)
    if position is None:
        raise PlaceError(f"the trace has no image {image}: it has {trace.images} images from {trace.numbers[0]} to {trace.numbers[-1]}")
    return position
