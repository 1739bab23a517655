# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The report of a tracked recording, from its files to `report.html` and `report.json`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lang2segtrack_ros.io.exports.trace import TraceError
from lang2segtrack_ros.io.exports.writer import write_file
from lang2segtrack_ros.recordings.exporting import RECORDS, is_bag, open_pictures, open_records, trace_name
from lang2segtrack_ros.recordings.quality.colors import compare_colors
from lang2segtrack_ros.recordings.quality.document import ReportDocument, document
from lang2segtrack_ros.recordings.quality.page import render
from lang2segtrack_ros.recordings.quality.report import QualityReport, analyze, rank
from lang2segtrack_ros.recordings.quality.samples import ImageSample, read_samples
from lang2segtrack_ros.recordings.runs import Report

HTML, JSON = "report.html", "report.json"


@dataclass(frozen=True)
class ReportOptions:
    """The choice of a report.

    Attributes:
        name: name of the recording; empty for the name of its folder or bag.
        topic: topic of the tracks in a bag; empty chooses one.
        video: video, folder or bag of the images; None to see the trace only.
        image_topic: topic of the images in a bag; empty chooses one.
        keep_unconfirmed: True keeps tracks that were detected but never confirmed.
    """

    name: str = ""
    topic: str = ""
    video: Path | None = None
    image_topic: str = ""
    keep_unconfirmed: bool = False


def write_report(tracked: Path, folder: Path, options: ReportOptions, progress: Report) -> ReportDocument:
    """Analyze a tracked recording and write its report. Memory does not depend on the number of images.

    Args:
        tracked: folder with tracks.jsonl, a file of such records, or a bag with a topic of tracks.
        folder: the output folder, which exists.
        options: the options.
        progress: progress callback.

    Returns:
        The report in the form of its JSON file.

    Raises:
        TraceError: there is no trace, it cannot be read, or the images do not belong to it.
        BagError: a bag cannot be read.
        SourceError: the images cannot be read.
        OSError: a file cannot be read or written.
    """
    with open_records(tracked, options.topic, folder) as (file, sentences):
        images = _in_order(read_samples(file, options.keep_unconfirmed), file)
        report = analyze(images, options.name or trace_name(tracked), progress=lambda done: progress("analyzing", done, None))
        report.notes += sentences
        if options.video is not None:
            _compare_colors(file, report, options.video, options.image_topic)
    result = document(report, options.video is not None)
    write_file(folder, JSON, (result.model_dump_json(indent=1) + "\n").encode())
    write_file(folder, HTML, render(result, str(tracked) if is_reviewable(tracked) else "").encode())
    return result


def is_reviewable(tracked: Path) -> bool:
    """Return True if `lang2segtrack review` takes a tracked recording: an output folder, or a bag."""
    return is_bag(tracked) or (tracked / RECORDS).is_file()


def _compare_colors(file: Path, report: QualityReport, video: Path, topic: str) -> None:
    with open_pictures(video, False, topic) as pictures:
        report.findings = rank([*report.findings, *compare_colors(file, report.events, pictures)], report)


def _in_order(images: Iterator[ImageSample], file: Path) -> Iterator[ImageSample]:
    """Yield images, and check that their numbers increase. Raises TraceError."""
    last: int | None = None
    for image in images:
        if last is not None and image.number <= last:
            raise TraceError(
                f"{file} has image {image.number} after image {last}: records must be in the order of their images; track again"
            )
        last = image.number
        yield image
