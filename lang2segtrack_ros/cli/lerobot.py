# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack lerobot`: make a LeRobot dataset of bags, with the tracked objects beside it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.interruption import INTERRUPTED

if TYPE_CHECKING:
    from lang2segtrack_ros.recordings.lerobot.episode import EpisodeInput

EXAMPLES = """examples:
  lang2segtrack lerobot run1 run2 --camera front=/front/color/image_raw --tracks front=tracked/{bag} --state /joint_states --fps 15
    --task "put the mug on the shelf" --out mugs
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "lerobot",
        help="make a LeRobot dataset (v3.0) of bags: camera videos, states, actions and the tracked objects",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("bags", type=Path, nargs="+", metavar="BAG", help="bag of an episode")
    parser.add_argument(
        "--camera",
        dest="cameras",
        action="append",
        default=[],
        metavar="NAME=TOPIC",
        help="camera and the topic of its images; repeat for several (default: camera= and the only topic of color images)",
    )
    parser.add_argument(
        "--tracks",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="output of lang2segtrack track or bag for this camera; {bag} stands for the name of the bag",
    )
    parser.add_argument(
        "--state", action="append", default=[], metavar="TOPIC[.FIELD]", help="topic of the robot's state; of a JointState, the positions"
    )
    parser.add_argument("--action", action="append", default=[], metavar="TOPIC[.FIELD]", help="topic of the commands to the robot")
    parser.add_argument("--fps", type=int, required=True, help="frames per second of the dataset")
    parser.add_argument("--task", default="", help="what the robot does, in words, in all these bags")
    parser.add_argument("--robot", default="unknown", help="name of the robot")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the dataset; it must not exist, see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing dataset of this command")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.

    Returns:
        0 if the dataset is whole, also if an earlier run wrote it. 1 after an error. 2 for wrong options. 130 after an interruption.
    """
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.recordings.bag_types import BagError
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        inputs = _inputs(options)
    except ValueError as error:
        print(f"lang2segtrack lerobot: {error}", file=sys.stderr)
        return 2
    try:
        return _write(options, inputs)
    except ModuleNotFoundError as error:
        print(f"lang2segtrack lerobot needs the package {error.name}: pip install pyarrow av", file=sys.stderr)
        return 2
    except (BagError, OfflineError, TraceError, OSError) as error:
        print(f"lang2segtrack lerobot: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return INTERRUPTED


def _inputs(options: argparse.Namespace) -> list[EpisodeInput]:
    """Return the parts of each episode. Raise ValueError for wrong options."""
    from lang2segtrack_ros.recordings.lerobot.episode import EpisodeInput
    from lang2segtrack_ros.recordings.lerobot.signals import Signal

    if not 1 <= options.fps <= 240:
        raise ValueError(f"--fps is {options.fps}: give the rate of the cameras, 1 to 240")
    cameras = _named("--camera", options.cameras) or {"camera": ""}
    tracks = _named("--tracks", options.tracks)
    unknown = sorted(tracks.keys() - cameras.keys())
    if unknown:
        raise ValueError(f"--tracks {unknown[0]}: there is no such camera; its cameras: {', '.join(cameras)}")
    if len(options.bags) > 1 and any("{bag}" not in path for path in tracks.values()):
        raise ValueError("--tracks names one recording for several bags: write {bag} in its path, such as tracked/{bag}")
    features = {"observation.state": options.state, "action": options.action}
    signals = {name: tuple(map(Signal.parse, topics)) for name, topics in features.items() if topics}
    episodes = []
    for bag in options.bags:
        name = bag.resolve().name
        paths = {camera: Path(path.replace("{bag}", name)) for camera, path in tracks.items()}
        for path in (bag, *paths.values()):
            if not path.exists():
                raise ValueError(f"there is no file or folder {path}")
        episodes.append(EpisodeInput(bag, cameras, paths, signals, options.fps))
    return episodes


def _named(option: str, texts: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for text, (name, _, value) in zip(texts, pairs):
        if not value or not name.replace("_", "").isalnum():
            raise ValueError(f"{option} {text}: write a name of letters, digits and _, then its value, such as front=/color/image_raw")
    if len({name for name, _, _ in pairs}) < len(pairs):
        raise ValueError(f"{option} gives a name twice")
    return {name: value for name, _, value in pairs}


def _write(options: argparse.Namespace, inputs: list[EpisodeInput]) -> int:
    from lang2segtrack_ros import __version__
    from lang2segtrack_ros.cli.export import file_stats
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.recordings.lerobot.dataset import DatasetWriter
    from lang2segtrack_ros.recordings.lerobot.episode import open_episode
    from lang2segtrack_ros.recordings.runs import digest, working_folder

    sources = [path for parts in inputs for path in (parts.bag, *parts.tracks.values())]
    output = OutputFolder(
        options.out, options.overwrite, sources, digest(__version__, inputs, options.task, options.robot, *map(file_stats, sources))
    )
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path):
        output.clear_partial()
        output.partial.mkdir(parents=True, exist_ok=True)
        dataset = DatasetWriter(output.partial, options.fps, options.robot)
        for number, parts in enumerate(inputs):
            with open_episode(parts, output.work / "traces") as episode:
                counts = dataset.add_episode(episode, options.task)
            print(f"episode {number}: {parts.bag}")
            for sentence, count in sorted(counts.items()):
                print(f"  {count} frames: {sentence}")
        dataset.finish()
        output.finish()
    print(f"written: {output.path} ({len(inputs)} episodes, {dataset.frames} frames, {dataset.objects} objects on them)")
    return 0
