# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""The export of tracked recordings: from a folder of `lang2segtrack track`, a saved backward pass, or a bag with `tracks`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from lang2segtrack_ros.history.records import dumps
from lang2segtrack_ros.io.exports.pictures import Picture, Pictures
from lang2segtrack_ros.io.exports.registry import Format
from lang2segtrack_ros.io.exports.trace import Trace, TraceError
from lang2segtrack_ros.io.exports.writer import write_file
from lang2segtrack_ros.io.sources import FolderSource, ImageSource, open_source
from lang2segtrack_ros.recordings.bags.images import BagImages
from lang2segtrack_ros.recordings.bags.messages import MessageCodec
from lang2segtrack_ros.recordings.bags.reading import BagInput
from lang2segtrack_ros.recordings.bags.tracks import bag_records
from lang2segtrack_ros.recordings.runs import Report

RECORDS = "tracks.jsonl"
_SPOOL = "records.part"


@dataclass(frozen=True)
class TraceOptions:
    """The choice of a trace.

    Attributes:
        name: name of the sequence; empty for the name of the folder or bag.
        topic: topic of the tracks in a bag; empty chooses one.
        keep_unconfirmed: True keeps objects that were detected but never confirmed.
    """

    name: str = ""
    topic: str = ""
    keep_unconfirmed: bool = False


def is_bag(path: Path) -> bool:
    """Return True for a bag: one of its files, or a folder of them."""
    names = [path.name] if path.is_file() else [item.name for item in path.iterdir()] if path.is_dir() else []
    return any(".mcap" in name or ".db3" in name for name in names)


def bags_of(path: Path) -> list[Path]:
    """Return the bags of a folder that is no bag itself, in the order of their names; else the path alone, whatever it is."""
    if is_bag(path) or not path.is_dir():
        return [path]
    return sorted(item for item in path.iterdir() if item.is_dir() and item.suffix != ".work" and is_bag(item)) or [path]


@contextmanager
def open_records(tracked: Path, topic: str, folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield the file with the records of a tracked recording, and sentences on what was left out.

    Args:
        tracked: folder with tracks.jsonl, a file of such records, or a bag with a topic of tracks.
        topic: topic of the tracks in a bag; empty chooses one.
        folder: folder for the records of a bag, which are removed at the end.

    Raises:
        TraceError: there is no trace, or it cannot be read.
        BagError: the bag cannot be read.
        OSError: a file cannot be read or written.
    """
    if is_bag(tracked):
        spool = folder / _SPOOL
        try:
            yield spool, _write_records(tracked, topic, spool)
        finally:
            spool.unlink(missing_ok=True)
        return
    file = tracked / RECORDS if tracked.is_dir() else tracked
    if not file.is_file():
        raise TraceError(f"{tracked} holds no {RECORDS} and is no bag: give the output of lang2segtrack track, bag or import")
    yield file, []


def trace_name(tracked: Path) -> str:
    """Return the name of a tracked recording: that of its folder, file or bag."""
    return (tracked.parent if tracked.name == RECORDS else tracked).resolve().name.split(".")[0]


@contextmanager
def open_trace(tracked: Path, options: TraceOptions, folder: Path) -> Iterator[tuple[Trace, list[str]]]:
    """Open a trace. Yield it with sentences on what was left out. See `open_records` for arguments and errors."""
    with open_records(tracked, options.topic, folder) as (file, sentences):
        yield Trace(file, options.name or trace_name(tracked), options.keep_unconfirmed), sentences


def _write_records(tracked: Path, topic: str, target: Path) -> list[str]:
    """Write the tracks of a bag as records. Return sentences on the damage of the bag, and on messages left out."""
    with BagInput(tracked) as bag, target.open("wb") as file:
        sentences: list[str] = []
        for record in bag_records(bag, topic, sentences):
            file.write(dumps(record))
        return [*sentences, *bag.damage]


def open_pictures(source: Path | ImageSource | None, placed: bool, topic: str = "") -> AbstractContextManager[Pictures]:
    """Open the images of a trace.

    Args:
        source: a video, a folder, a bag, or an open source; None if the images are not at hand.
        placed: True to put the images into the exports.
        topic: topic of the images in a bag; empty chooses one.

    Raises:
        SourceError: the source cannot be opened.
        BagError: the bag cannot be read.
    """
    if source is None:
        return nullcontext(Pictures())
    if isinstance(source, Path):
        if is_bag(source):
            return _bag_pictures(source, placed, topic)
        source = open_source(str(source))
    return nullcontext(Pictures(source.name, _pictures(source), placed=placed))


@contextmanager
def _bag_pictures(source: Path, placed: bool, topic: str) -> Iterator[Pictures]:
    with BagInput(source) as bag:
        frames = BagImages(bag, topic, MessageCodec()).frames()
        yield Pictures(str(source), (Picture(frame.stamp_ns, frame.color) for frame in frames), by_stamp=True, placed=placed)


def _pictures(source: ImageSource) -> Iterator[Picture]:
    for number, frame in enumerate(source.frames()):
        file = source.files[source.index.images[number]] if isinstance(source, FolderSource) else None
        yield Picture(number, frame.color, file)


def write_exports(trace: Trace, formats: Sequence[Format], folders: Sequence[Path], pictures: Pictures, report: Report) -> list[str]:
    """Write a trace in several formats, in one pass. Memory does not depend on the number of images.

    Args:
        trace: the trace.
        formats: the formats.
        folders: a folder for each format; created if it does not exist.
        pictures: the images.
        report: progress callback.

    Returns:
        Sentences on what was written and left out. README.txt in each folder has them, too.

    Raises:
        TraceError: the trace or its images cannot be read.
        SourceError: the images cannot be read.
        OSError: a file cannot be written.
    """
    writers = []
    for item, folder in zip(formats, folders):
        folder.mkdir(parents=True, exist_ok=True)
        writers.append(item.writer(folder, pictures))
        writers[-1].begin(trace.info)
    shown = 0
    for frame in trace.frames():
        pictures.seek(frame)
        for writer in writers:
            writer.add(frame)
        shown += len(frame.objects)
        report("exporting", frame.index + 1, trace.info.length)
    info = trace.info
    count = "1 object" if len(info.labels) == 1 else f"{len(info.labels)} objects"
    lines = [f"{count}, {shown} times visible and {info.hidden} times hidden, on {info.length} images of {info.name}"]
    if info.unconfirmed:
        lines.append(f"{info.unconfirmed} objects were detected but never confirmed, and left out: --keep-unconfirmed keeps them")
    left_out = []
    for item, writer in zip(formats, writers):
        writer.end()
        own = [f"{item.name}: {count} {what}" for what, count in sorted(writer.left_out.items()) if count]
        text = "\n".join((f"lang2segtrack export, format {item.name}", *lines, *own, ""))
        write_file(writer.folder, "README.txt", text.encode())
        left_out += own
    return [*lines, *left_out]
