# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack toy-bag`: write a suite of the toy world as a rosbag2 recording."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.engine_options import parse_size


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("toy-bag", help="write a clip of the toy world with its ground truth as a rosbag2 recording")
    parser.add_argument("suite", metavar="SUITE", help="demo, or a suite of docs/toyworld.md; an unknown name lists all suites")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the bag; it must not exist")
    parser.add_argument("--family", default="shapes", help="shapes, or things: everyday things on tables (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of the clip (default: 4)")
    parser.add_argument("--frames", type=int, help="number of images (default: the whole clip)")
    parser.add_argument("--storage", default="mcap", help="mcap or sqlite3 (default: %(default)s)")
    parser.add_argument("--size", type=parse_size, metavar="WxH", help="size of the images (default: 640x480)")
    parser.add_argument("--fps", type=float, help="images per second (default: 15)")
    parser.add_argument("--compressed", action="store_true", help="write the color images as JPEG instead of raw")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.
    """
    try:
        from lang2segtrack_ros.recordings.bag_types import BagError
        from lang2segtrack_ros.toyworld.bag_writer import write_bag
    except ModuleNotFoundError as error:
        print(f"lang2segtrack toy-bag needs the package {error.name}: pip install rosbags", file=sys.stderr)
        return 2
    from lang2segtrack_ros.toyworld.stream import StreamError, StreamOptions

    width, height = options.size or (None, None)
    values = {"family": options.family, "seed": options.seed, "width": width, "height": height, "fps": options.fps}
    try:
        stream = StreamOptions(options.suite, **{name: value for name, value in values.items() if value is not None})
        frames = write_bag(options.out, stream, options.frames, options.storage, options.compressed)
    except (BagError, StreamError) as error:
        print(f"lang2segtrack toy-bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {options.out} was removed", file=sys.stderr)
        return 130
    size = sum(file.stat().st_size for file in options.out.iterdir()) / 1e6
    print(f"{options.out}: {frames} frames of {stream.suite}, seed {stream.seed}, {stream.width} x {stream.height}, {size:.1f} MB")
    print(f"it shows: {', '.join(stream.scene().labels)}")
    return 0
