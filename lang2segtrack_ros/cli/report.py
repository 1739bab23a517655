# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack report`: where to check a tracked recording before its labels are used."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.interruption import INTERRUPTED

EXAMPLES = """examples:
  lang2segtrack report out/cups
  lang2segtrack report out/cups --video cups.mp4 --out out/cups_check
"""
SUFFIX = "_report"
"""End of the name of the default output folder."""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "report",
        help="report where a tracked recording may be wrong: suspected id switches, jumps, gaps, low scores",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "tracked", type=Path, metavar="TRACKED", help="output of lang2segtrack track, bag or import, or a saved backward pass"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"output folder; it must not exist, see --overwrite (default: TRACKED{SUFFIX})"
    )
    parser.add_argument("--video", type=Path, metavar="PATH", help="video, folder or bag of the images, to compare colors, too")
    parser.add_argument("--image-topic", default="", metavar="TOPIC", help="topic of the images, if --video is a bag with several")
    parser.add_argument("--topic", default="", help="topic of the tracks, if TRACKED is a bag (default: tracks_refined, or tracks)")
    parser.add_argument("--name", default="", help="name of the recording (default: the name of TRACKED)")
    parser.add_argument("--keep-unconfirmed", action="store_true", help="keep objects that were detected but never confirmed")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if the report is written, whatever it found. 1 after an error. 130 after an interruption.
    """
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.io.sources import SourceError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        return _report(options)
    except (BagError, OfflineError, SourceError, TraceError, OSError) as error:
        print(f"lang2segtrack report: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def default_folder(tracked: Path) -> Path:
    """Return the output folder of a report if none is given: beside the tracked recording."""
    path = tracked.resolve()
    return path.with_name((path.name if path.is_dir() else path.stem) + SUFFIX)


def _report(options: argparse.Namespace) -> int:
    from lang2segtrack_ros import __version__
    from lang2segtrack_ros.cli.export import file_stats
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.recordings.quality.job import HTML, JSON, ReportOptions, write_report
    from lang2segtrack_ros.recordings.runs import digest, working_folder

    inputs = [path for path in (options.tracked, options.video) if path is not None]
    for path in inputs:
        if not path.exists():
            raise TraceError(f"there is no file or folder {path}")
    chosen = ReportOptions(options.name, options.topic, options.video, options.image_topic, options.keep_unconfirmed)
    key = digest(__version__, "report", chosen, *map(file_stats, inputs))
    output = OutputFolder(options.out or default_folder(options.tracked), options.overwrite, inputs, key)
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path), ProgressLine() as line:
        output.clear_partial()
        result = write_report(options.tracked, output.partial, chosen, line)
        output.finish()
    severities = [sum(item.severity == name for item in result.findings) for name in ("high", "medium", "low")]
    print(f"tracks: {len(result.tracks)}, on {result.images} images of {result.name}")
    print(f"findings: {len(result.findings)}, of which {severities[0]} high, {severities[1]} medium, {severities[2]} low")
    for item in result.findings[:3]:
        print(f"  image {item.image}, track {item.track} {item.label}: {item.reason}")
    for note in result.notes:
        print(f"warning: {note}")
    print(f"written: {output.path}: {HTML}, {JSON}")
    return 0
