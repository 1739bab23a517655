# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack bag`: a recording of ROS 2, tracked through and written anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.engine_options import add_engine_options, make_session
from lang2segtrack_ros.cli.prompt_options import add_prompt_options, prompts_of

DESCRIPTION = """Reads a rosbag2 recording (MCAP or SQLite; split, compressed, unfinished), tracks through one topic of images forwards and
backwards, and writes a new bag: all input messages as they are, and /detections, /tracks, /instance_masks, /label_info and
/tracks_refined with the images' headers and times. No ROS installation is needed. Interrupted, the same command goes on."""


def add_parser(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser("bag", help="track through a ROS 2 bag and write a new one", description=DESCRIPTION)
    parser.add_argument("source", type=Path, metavar="IN", help="folder of a bag, or one of its .mcap or .db3 files")
    parser.add_argument("--topic", default="", help="images to track; needed where there are several")
    add_prompt_options(parser)
    parser.add_argument("--no-backward", dest="backward", action="store_false", help="forwards only, no tracks_refined")
    parser.add_argument("--overlay", action="store_true", help="also write /overlay: images as large as the input's")
    parser.add_argument("--namespace", default="", help="put before the names of our topics")
    parser.add_argument("--checkpoint-every", type=float, default=30.0, metavar="SECONDS", help="a killed run loses so much (%(default)g)")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder of the new bag")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    from lang2segtrack_ros.bag_types import BagError
    from lang2segtrack_ros.offline import OfflineError
    from lang2segtrack_ros.prompts import PromptError
    from lang2segtrack_ros.weights import WeightsError

    try:
        return _bag(options)
    except (BagError, OfflineError, PromptError, WeightsError, OSError) as error:
        print(f"lang2segtrack bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _bag(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.bags.job import BagJob, BagOptions
    from lang2segtrack_ros.cli.progress import ProgressLine

    prompts = prompts_of(options)
    wanted = BagOptions(
        options.topic,
        prompts,
        options.backward,
        options.overlay,
        options.namespace,
        options.checkpoint_every,
        identity=repr((options.model, options.detector, options.image_size, options.policy)),
    )
    line = ProgressLine()
    done = BagJob(options.source, options.out, lambda: make_session(options, prompts), wanted, line).run()
    line.end()
    if done.resumed_at:
        print(f"went on from image {done.resumed_at} of an earlier run")
    for track_id, label in sorted(done.labels.items()):
        filled = f", {done.filled[track_id]} of them by the way back" if options.backward else ""
        print(f"track {track_id} {label or '(no label)'}: visible on {done.visible[track_id]} of {done.images} images{filled}")
    for reason, count in sorted(done.refused.items()):
        print(f"warning: {count} images were not tracked ({reason}): {done.example[reason]}", file=sys.stderr)
    for sentence in done.damage:
        print(f"warning: {sentence}", file=sys.stderr)
    print(f"written: {options.out}")
    return 0
