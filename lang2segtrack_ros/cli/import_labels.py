# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack import`: labels of other tools as prompts, and as a trace with the truth."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.interruption import INTERRUPTED

FORMATS = ("coco", "ytvis", "mot", "davis", "cvat")
EXAMPLES = """examples:
  lang2segtrack import instances.json --format coco --out out/labels
  lang2segtrack track cups.mp4 --prompts out/labels/prompts.yaml --out out/cups
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "import",
        help="read COCO, YouTube-VIS, MOT, DAVIS or CVAT labels as prompts and as a trace",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("labels", type=Path, metavar="LABELS", help="file or folder of the labels")
    parser.add_argument("--format", required=True, choices=FORMATS, help="format of the labels")
    parser.add_argument("--video", default="", help="id or name of the video, if the labels are those of several")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder; it must not exist, see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if the output is whole, also if an earlier run wrote it. 1 after an error. 130 after an interruption.
    """
    from lang2segtrack_ros.io.imports.labels import LabelError
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        return _import(options)
    except (LabelError, OfflineError, OSError) as error:
        print(f"lang2segtrack import: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _import(options: argparse.Namespace) -> int:
    from lang2segtrack_ros import __version__
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.io.imports.labels import LabelError
    from lang2segtrack_ros.io.imports.prompts import write_prompts
    from lang2segtrack_ros.io.imports.registry import READERS
    from lang2segtrack_ros.recordings.runs import digest, working_folder

    labels: Path = options.labels
    if not labels.exists():
        raise LabelError(f"there is no file or folder {labels}")
    files = [labels] if labels.is_file() else sorted(item for item in labels.rglob("*") if item.is_file())
    stats = [(str(item.relative_to(labels)), item.stat().st_size, item.stat().st_mtime_ns) for item in files]
    output = OutputFolder(options.out, options.overwrite, [labels], digest(__version__, options.format, options.video, stats))
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path):
        output.clear_partial()
        sentences = write_prompts(READERS[options.format](labels, options.video), output.partial)
        output.finish()
    print("\n".join([*sentences, f"written: {output.path}"]))
    return 0
