# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack export`: write tracked recordings in the formats of labeling and training tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.interruption import INTERRUPTED

if TYPE_CHECKING:  # modules that the parser does not need are imported on use
    from lang2segtrack_ros.io.exports.registry import Format
    from lang2segtrack_ros.io.sources import ImageSource
    from lang2segtrack_ros.recordings.exporting import TraceOptions
    from lang2segtrack_ros.recordings.runs import Report

EXAMPLES = """examples:
  lang2segtrack export out/cups --format coco --out out/cups_coco
  lang2segtrack export out/cups --format davis,mot --images cups.mp4 --copy-images --out out/cups_sets
"""
_FORMATS = "coco, ytvis, mot, mots, davis, cvat, cvat-box, cvat-mask, labelstudio, yolo-seg"


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "export",
        help="write tracked recordings as COCO, YouTube-VIS, MOT, MOTS, DAVIS, CVAT, Label Studio or YOLO labels",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "tracked", type=Path, metavar="TRACKED", help="output of lang2segtrack track, bag or import, or a saved backward pass"
    )
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        required=True,
        metavar="F",
        help=f"format, or several with commas; each gets a folder of its name then: {_FORMATS}",
    )
    parser.add_argument(
        "--images", type=Path, metavar="PATH", help="video, folder or bag of the images, for their names, and for --copy-images"
    )
    parser.add_argument("--copy-images", action="store_true", help="put the images of --images into the export, as links where possible")
    parser.add_argument("--image-topic", default="", metavar="TOPIC", help="topic of the images, if --images is a bag with several")
    parser.add_argument("--topic", default="", help="topic of the tracks, if TRACKED is a bag (default: tracks_refined, or tracks)")
    parser.add_argument("--name", default="", help="name of the sequence (default: the name of TRACKED)")
    parser.add_argument("--keep-unconfirmed", action="store_true", help="keep objects that were detected but never confirmed")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; it must not exist, see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.set_defaults(run=run)


def add_export_options(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add the options of an export after tracking.

    Args:
        parser: parser of a command.
        folder: the place of the exports, for the help.
    """
    parser.add_argument(
        "--export",
        dest="exports",
        action="append",
        default=[],
        metavar="F",
        help=f"also write this format, to {folder}; see lang2segtrack export",
    )
    parser.add_argument("--export-images", action="store_true", help="put the images into the exports")


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if the export is whole, also if an earlier run wrote it. 1 after an error. 130 after an interruption.
    """
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.io.sources import SourceError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        return _export(options)
    except (BagError, OfflineError, SourceError, TraceError, OSError) as error:
        print(f"lang2segtrack export: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _export(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.io.exports.registry import parse_formats
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.recordings.exporting import TraceOptions

    formats = parse_formats(options.formats)
    if options.copy_images and options.images is None:
        raise TraceError("--copy-images needs the images: give their video, folder or bag with --images")
    for path in (options.tracked, options.images):
        if path is not None and not path.exists():
            raise TraceError(f"there is no file or folder {path}")
    trace_options = TraceOptions(options.name, options.topic, options.keep_unconfirmed)
    return export_folder(
        options.tracked, formats, trace_options, options.out, options.overwrite, options.images, (options.copy_images, options.image_topic)
    )


def export_folder(
    tracked: Path,
    formats: Sequence[Format],
    trace_options: TraceOptions,
    out: Path,
    overwrite: bool,
    images: Path | None,
    image_options: tuple[bool, str],
) -> int:
    """Export into an output folder, which appears as a whole. Return the exit code 0.

    Args:
        tracked: the tracked recording.
        formats: the formats. A single one is written into the folder itself, several into folders of their names.
        trace_options: the choice of the trace.
        out: the output folder.
        overwrite: True replaces a folder that a command wrote before.
        images: the recording with the images; None if they are not at hand.
        image_options: True to put the images into the export, and the topic of the images in a bag.

    Raises:
        TraceError: the trace or its images cannot be read.
        OfflineError: the folder cannot be written.
        BagError: the bag cannot be read.
        SourceError: the images cannot be read.
        OSError: a file cannot be read or written.
    """
    from lang2segtrack_ros import __version__
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.recordings.runs import digest, working_folder

    names = [item.name for item in formats]
    inputs = [path for path in (tracked, images) if path is not None]
    output = OutputFolder(out, overwrite, inputs, digest(__version__, names, trace_options, image_options, *map(file_stats, inputs)))
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path), ProgressLine() as line:
        output.clear_partial()
        folders = [output.partial] if len(names) == 1 else [output.partial / name for name in names]
        sentences = export_trace(tracked, formats, folders, trace_options, images, image_options, line)
        output.finish()
    print("\n".join([*sentences, f"written: {output.path}"]))
    return 0


def export_trace(
    tracked: Path,
    formats: Sequence[Format],
    folders: Sequence[Path],
    trace_options: TraceOptions,
    images: Path | ImageSource | None,
    image_options: tuple[bool, str],
    report: Report,
) -> list[str]:
    """Export into given folders. Return sentences on what was written and left out; see `write_exports`."""
    from lang2segtrack_ros.recordings.exporting import open_pictures, open_trace, write_exports

    folders[0].mkdir(parents=True, exist_ok=True)
    placed, topic = image_options
    with open_trace(tracked, trace_options, folders[0]) as (trace, sentences), open_pictures(images, placed, topic) as pictures:
        return [*write_exports(trace, formats, folders, pictures, report), *(f"warning: {sentence}" for sentence in sentences)]


def file_stats(path: Path) -> list[tuple[str, int, int]]:
    """Return name, size and time of each file of an input, which tell a changed input."""
    files = [path] if path.is_file() else sorted(item for item in path.iterdir() if item.is_file())
    return [(item.name, item.stat().st_size, item.stat().st_mtime_ns) for item in files]
