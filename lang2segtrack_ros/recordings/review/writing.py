# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The edited trace as an output folder of `lang2segtrack track`."""

from __future__ import annotations

from lang2segtrack_ros.history.records import read_frame
from lang2segtrack_ros.io.trace_files import TraceFiles
from lang2segtrack_ros.recordings.review.apply import EditedTrace
from lang2segtrack_ros.recordings.review.images import RecordingImages, image_of
from lang2segtrack_ros.recordings.runs import Report


def write_edited(edited: EditedTrace, images: RecordingImages | None, files: TraceFiles, report: Report) -> None:
    """Write the edited trace, image by image. Memory does not depend on their number.

    Args:
        edited: the trace.
        images: the recording; None draws the masks on black images.
        files: writer of the files; closed at the end.
        report: progress callback.

    Raises:
        LineError: a line of the trace or of a segment has changed.
        SourceError: the recording cannot be read.
        BagError: the bag cannot be read.
        OSError: a file cannot be written.
    """
    total = edited.stored.images
    with files:
        positions = range(total)
        frames = None if images is None else images.read_in_order(positions, edited.stored.record)
        for image in positions:
            record = edited.record(image)
            frame = image_of(None, record) if frames is None else next(frames)
            files.write(frame, read_frame(record))
            report("writing", image + 1, total)
