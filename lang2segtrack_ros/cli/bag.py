# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack bag`: track objects through a ROS 2 recording and write a new recording."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.engine_options import add_engine_options, add_run_options, engine_identity, make_session
from lang2segtrack_ros.cli.export import add_export_options, export_folder
from lang2segtrack_ros.cli.interruption import INTERRUPTED, stop_on_signals
from lang2segtrack_ros.cli.prompt_options import add_prompt_options, parse_prompts

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.bags.collection import RecordingEntry
    from lang2segtrack_ros.recordings.bags.job import BagSummary
    from lang2segtrack_ros.recordings.bags.many import BagOutcome
    from lang2segtrack_ros.recordings.runs import Report

DESCRIPTION = """Reads a rosbag2 recording (MCAP or SQLite, also split, compressed or unfinished) and tracks objects on one image topic,
forward and backward. The new bag holds all input messages unchanged, and /detections, /tracks, /instance_masks, /label_info and
/tracks_refined with the headers and times of the images. No ROS installation is needed. After an interruption, the same command resumes.
A folder of bags stands for all its bags. Several bags are processed one after the other, or in parallel. The command skips bags that are
done, prints a table at the end, and writes recordings.json with the objects of each bag."""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser("bag", help="track objects through ROS 2 bags and write new bags", description=DESCRIPTION)
    parser.add_argument(
        "sources", type=Path, nargs="+", metavar="IN", help="bags: a folder, or one .mcap or .db3 file of each; or a folder of bags"
    )
    parser.add_argument("--topic", default="", help="image topic; required if the bag has several color topics")
    add_prompt_options(parser)
    parser.add_argument("--no-backward", dest="backward", action="store_false", help="skip the backward pass and tracks_refined")
    add_run_options(parser)
    parser.add_argument("--overlay", action="store_true", help="also write /overlay: annotated images of the input size")
    parser.add_argument(
        "--image-bits",
        type=int,
        choices=range(8, 17),
        default=16,
        metavar="N",
        help="number of used bits in 16-bit images such as mono16, 8 to 16: 10, 12 or 14 for many cameras (default: %(default)s)",
    )
    parser.add_argument("--namespace", default="", help="namespace of the new topics")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT", help="folder of the new bag; for several bags, their parent folder"
    )
    parser.add_argument("--jobs", "--workers", type=int, default=1, metavar="N", help="number of bags in parallel (default: %(default)s)")
    parser.add_argument(
        "--ray", default="", metavar="ADDRESS", help="use Ray: address of a cluster, auto for that of this machine, local to start one"
    )
    add_export_options(parser, "OUT_exports/F beside the new bag")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.
    """
    from lang2segtrack_ros.history.backward_pass import RefinementError
    from lang2segtrack_ros.instructions.vlm.model import VlmError
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.runs import InterruptedRunError, OfflineError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        return _bag(options)
    except InterruptedRunError as error:
        print(f"{error}; the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except (BagError, OfflineError, PromptError, RefinementError, TraceError, VlmError, WeightsError, OSError) as error:
        print(f"lang2segtrack bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes from the last checkpoint", file=sys.stderr)
        return INTERRUPTED


def _never() -> bool:
    return False


def _work(options: argparse.Namespace, report: Report, source: Path, target: Path, stop: Callable[[], bool] = _never) -> BagSummary:
    """Process one bag, in this process or on a worker."""
    from lang2segtrack_ros.recordings.bags.job import BagJob, BagOptions

    prompts = parse_prompts(options)
    bag_options = BagOptions(
        prompts,
        options.backward,
        options.checkpoint_every,
        engine_identity(options),
        topic=options.topic,
        overlay=options.overlay,
        namespace=options.namespace,
        image_bits=options.image_bits,
    )
    return BagJob(source, target, lambda: make_session(options, prompts), bag_options, report, stop).run()


def _bag(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.io.exports.registry import parse_formats
    from lang2segtrack_ros.recordings.exporting import bags_of

    options.out = options.out.resolve()
    parse_formats(options.exports)
    parse_prompts(options)  # report invalid prompts before any bag is opened
    sources = [bag for source in options.sources for bag in bags_of(source)]
    if len(options.sources) > 1 or sources != options.sources:
        return _bags(options, sources)
    with ProgressLine() as line, stop_on_signals() as stop:
        summary = _work(options, line, options.sources[0], options.out, stop)
    if summary.already_done:
        print(f"already done: {options.out}")
        return _export(options, options.out, summary.topic)
    if summary.resumed_at:
        print(f"resumed at image {summary.resumed_at} of an earlier run")
    print(f"images of {summary.topic}")
    for sentence in summary.answers:
        print(sentence)
    for sentence in summary.counts.sentences(options.backward):
        print(sentence)
    for reason, count in sorted(summary.refused.items()):
        print(f"warning: {count} images were not tracked ({reason}): {summary.example[reason]}", file=sys.stderr)
    for sentence in summary.damage:
        print(f"warning: {sentence}", file=sys.stderr)
    print(f"written: {options.out}")
    return _export(options, options.out, summary.topic)


def _tracks_topic(options: argparse.Namespace) -> str:
    """Return the topic of the tracks in a new bag."""
    return "/".join(["", *filter(None, options.namespace.split("/")), "tracks_refined" if options.backward else "tracks"])


def _export(options: argparse.Namespace, bag: Path, images: str) -> int:
    """Export a new bag, each format into a folder of its own beside it. Return the exit code 0.

    Args:
        options: parsed options.
        bag: the new bag.
        images: topic of the images, with the reason for its choice.
    """
    from lang2segtrack_ros.io.exports.registry import parse_formats
    from lang2segtrack_ros.recordings.exporting import TraceOptions

    topic = _tracks_topic(options)
    image_options = (options.export_images, images.partition(" ")[0])
    for item in parse_formats(options.exports):
        out = bag.with_name(f"{bag.name}_exports") / item.name
        export_folder(bag, [item], TraceOptions(topic=topic), out, True, bag if options.export_images else None, image_options)
    return 0


def _bags(options: argparse.Namespace, sources: list[Path]) -> int:
    """Process several bags. Return 1 if one of them failed, else 0."""
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.bags import collection, many

    if options.jobs < 1:
        raise BagError(f"--jobs is {options.jobs}; it must be at least 1")
    pairs = many.pair_up(sources, options.out)
    targets = dict(pairs)
    options.out.mkdir(parents=True, exist_ok=True)
    entries = collection.read_entries(options.out)  # also of other bags with the same --out
    rows: list[many.BagOutcome] = []
    failed = 0
    with _outcomes(options, pairs) as outcomes:
        for row in outcomes:
            rows.append(row)
            state = "done before" if row.already_done else f"failed: {row.error}" if row.error else f"done in {row.seconds:.0f} s"
            print(f"[{len(rows)}/{len(pairs)}] {row.source}: {state}", flush=True)
            target = targets[row.source]
            known = entries.get(target.name)
            if not row.already_done or known is None or known.state != "done":
                entries[target.name] = _entry(options, row, target)
            collection.write_collection(options.out, collection.collect(entries.values()))
            if row.summary is not None:
                failed += _try_export(options, target, row.summary.topic)
    print(many.table(sorted(rows, key=lambda row: row.source)))
    print("\n".join(collection.sentences(collection.collect(entries.values()))))
    print(f"written: {options.out}: {collection.FILE} and the new bags")
    return 1 if failed or any(entries[target.name].state == "failed" for target in targets.values()) else 0


@contextmanager
def _outcomes(options: argparse.Namespace, pairs: Sequence[tuple[Path, Path]]) -> Iterator[Iterator[BagOutcome]]:
    """Yield the outcomes of the jobs on several bags: one after another, in processes, or on Ray."""
    from lang2segtrack_ros.recordings.bags import many

    work = partial(_work, options, _silent)
    if options.ray:
        yield many.on_ray(work, pairs, options.jobs, options.ray)
    elif options.jobs > 1:
        processes = many.Processes(work, options.jobs)
        with stop_on_signals(processes.stop):
            yield processes.run(pairs)
    else:
        with stop_on_signals() as stop:
            yield many.one_by_one(work, pairs, stop)


def _entry(options: argparse.Namespace, row: BagOutcome, target: Path) -> RecordingEntry:
    """Return the entry of a bag for the summary of all bags."""
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.bags.collection import failure, summarize

    if row.error:
        return failure(target.name, str(row.source), row.error)
    try:
        return summarize(target, _tracks_topic(options), str(row.source))
    except (BagError, TraceError, OSError) as error:
        return failure(target.name, str(row.source), f"the new bag cannot be read: {error}")


def _try_export(options: argparse.Namespace, bag: Path, images: str) -> int:
    """Export one of several new bags. A failure is printed, so that the other bags go on. Return 1 for a failure, else 0."""
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        return _export(options, bag, images)
    except (BagError, OfflineError, TraceError, OSError) as error:
        print(f"lang2segtrack bag: the export of {bag} failed: {error}", file=sys.stderr)
        return 1


def _silent(_stage: str, _done: int, _total: int | None) -> None:
    """Report no progress within a bag, because several bags may run in parallel."""
