# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack bag`: a recording of ROS 2, tracked through and written anew."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.engine_options import add_engine_options, make_session
from lang2segtrack_ros.cli.prompt_options import add_prompt_options, prompts_of

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.bags.job import BagSummary
    from lang2segtrack_ros.recordings.offline import Report

DESCRIPTION = """Reads a rosbag2 recording (MCAP or SQLite; split, compressed, unfinished), tracks through one topic of images forwards and
backwards, and writes a new bag: all input messages as they are, and /detections, /tracks, /instance_masks, /label_info and
/tracks_refined with the images' headers and times. No ROS installation is needed. Interrupted, the same command goes on. Many bags are
worked on one after the other, or side by side on Ray; those that are done are not done again, and a table ends the run."""


def add_parser(commands: Any) -> None:
    """Declares the command."""
    parser = commands.add_parser("bag", help="track through a ROS 2 bag and write a new one", description=DESCRIPTION)
    parser.add_argument("sources", type=Path, nargs="+", metavar="IN", help="folder of a bag, or one of its .mcap or .db3 files; or many")
    parser.add_argument("--topic", default="", help="images to track; needed where there are several")
    add_prompt_options(parser)
    parser.add_argument("--no-backward", dest="backward", action="store_false", help="forwards only, no tracks_refined")
    parser.add_argument("--overlay", action="store_true", help="also write /overlay: images as large as the input's")
    parser.add_argument("--namespace", default="", help="put before the names of our topics")
    parser.add_argument("--checkpoint-every", type=float, default=30.0, metavar="SECONDS", help="a killed run loses so much (%(default)g)")
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder of the new bag; of many bags, the folder for them")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="of many bags, so many at once, on Ray (%(default)s)")
    parser.add_argument("--ray", default="", metavar="ADDRESS", help="a running Ray cluster to work on; auto finds this machine's")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    from lang2segtrack_ros.history.backward_pass import RefinementError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.offline import OfflineError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        return _bag(options)
    except (BagError, OfflineError, PromptError, RefinementError, WeightsError, OSError) as error:
        print(f"lang2segtrack bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _work(options: argparse.Namespace, report: Report, source: Path, target: Path) -> BagSummary:
    """Tracks through one bag, in this process or on a worker."""
    from lang2segtrack_ros.recordings.bags.job import BagJob, BagOptions

    prompts = prompts_of(options)
    wanted = BagOptions(
        options.topic,
        prompts,
        options.backward,
        options.overlay,
        options.namespace,
        options.checkpoint_every,
        identity=repr((options.segmenter, options.detector, options.image_size, options.policy, options.device)),
    )
    return BagJob(source, target, lambda: make_session(options, prompts), wanted, report).run()


def _bag(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.cli.progress import ProgressLine

    options.out = options.out.resolve()
    prompts_of(options)  # what is wrong with them is told before any bag is opened
    if len(options.sources) > 1:
        return _bags(options)
    line = ProgressLine()
    done = _work(options, line, options.sources[0], options.out)
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


def _bags(options: argparse.Namespace) -> int:
    """Many bags; 1 when one of them failed."""
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.bags import many

    if options.workers < 1:
        raise BagError(f"--workers is {options.workers}; it must be at least 1")
    pairs = many.pair_up(options.sources, options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    work = partial(_work, options, _silent)
    side_by_side = options.workers > 1 or options.ray
    rows = []
    for row in many.on_ray(work, pairs, options.workers, options.ray) if side_by_side else many.one_by_one(work, pairs):
        rows.append(row)
        state = "done before" if row.before else f"failed: {row.error}" if row.error else f"done in {row.seconds:.0f} s"
        print(f"[{len(rows)}/{len(pairs)}] {row.source}: {state}", flush=True)
    print(many.table(sorted(rows, key=lambda row: row.source)))
    if any(row.before for row in rows):
        print(f"outputs that were in {options.out} already are as they were, whatever was asked for now: remove them to do them anew")
    return 1 if any(row.error for row in rows) else 0


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    """Progress within a bag is not told when there are many."""
