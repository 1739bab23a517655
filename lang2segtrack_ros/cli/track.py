# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track`: track objects through a video file, a folder of images, or a camera stream."""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from lang2segtrack_ros.cli.engine_options import add_backward_options, add_engine_options, make_session, whole_number
from lang2segtrack_ros.cli.prompt_options import add_prompt_options, parse_prompts

EXAMPLES = """examples:
  lang2segtrack track street.mp4 --text "red car. bus." --out out/street
  lang2segtrack track cups.mp4 --box 420,310,560,520=cup --at 60 --backward --out out/cups
  lang2segtrack track images/ --prompts prompts.yaml --out out/images

a file with prompts:
  - {at: 0, text: "red car. bus."}
  - {at: 30, box: [420, 310, 560, 520], label: cup}
  - {at: 30, points: [[100, 200], [140, 210, 0]], label: hand}      # 0: not on the hand
  - {at: 45, mask: mask.png, label: plate}                          # relative to this file; the object is white
  - {at: 90, points: [[430, 330, 0]], track: 1}                     # corrects track 1
"""

_MAX_SENTENCES = 5  # images left out that are named one by one


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers of `lang2segtrack`.

    Args:
        commands: the subparsers.
    """
    parser = commands.add_parser(
        "track",
        help="track objects through a video, a folder of images, or a camera stream",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument("source", metavar="VIDEO|FOLDER|CAMERA", help="a video file, a folder of images, or the number of a camera")
    add_prompt_options(parser)
    parser.add_argument(
        "--window",
        action="store_true",
        help="open a window that shows the tracks and takes clicks, boxes and names; without a prompt, it waits for one",
    )
    parser.add_argument("--backward", action="store_true", help="add a backward pass, which completes the traces and fills gaps")
    add_backward_options(parser)
    parser.add_argument("--fps", type=_rate, help="images per second of a folder (default: 30)")
    parser.add_argument(
        "--frames", type=whole_number(1), metavar="N", help="track only the first N images; Ctrl-C ends a camera stream, too"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder; it must not exist, see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def _rate(text: str) -> float:
    """Parse images per second: a finite number above 0."""
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of images per second: give a number above 0, such as 30')
    return rate


def run(options: argparse.Namespace) -> int:
    """Run the command and return its exit code.

    Args:
        options: parsed options.
    """
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.history.backward_pass import RefinementError
    from lang2segtrack_ros.io.sources import SourceError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.recordings.forward import OfflineError
    from lang2segtrack_ros.tracking.policies.base import PolicyError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        output = OutputFolder(options.out, options.overwrite, Path(options.source))
    except OfflineError as error:
        print(f"lang2segtrack track: {error}", file=sys.stderr)
        return 1
    try:
        sentences = _track(options, output.partial)
        output.finish()
    except (OfflineError, PolicyError, PromptError, RefinementError, SourceError, WeightsError, OSError) as error:
        print(f"lang2segtrack track: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 130
    finally:
        output.discard()
    print("\n".join([*sentences, f"written: {output.path}"]))
    return 0


def _track(options: argparse.Namespace, folder: Path) -> list[str]:
    """Track through the source, and write all files into a folder. Return the sentences to print when the folder is in place."""
    from lang2segtrack_ros.cli.progress import ProgressLine
    from lang2segtrack_ros.history.frame_history import FrameHistory
    from lang2segtrack_ros.io.sources import CameraSource, open_source
    from lang2segtrack_ros.recordings.forward import OfflineError
    from lang2segtrack_ros.recordings.offline import track_source

    prompts = parse_prompts(options, allow_empty=options.window)
    source = open_source(options.source, options.fps)
    history = None
    source.limit = options.frames
    if isinstance(source, CameraSource):
        signal.signal(signal.SIGINT, lambda *_: source.stop())
        if options.backward:
            history = FrameHistory(max_seconds=float("inf"), max_bytes=shutil.disk_usage(folder.parent).free // 2, folder=folder / ".work")
    session = make_session(options, prompts, options.window, history=history)
    line = ProgressLine()
    if options.window:
        try:
            from lang2segtrack_ros.cli.track_window import run_with_window
            from lang2segtrack_ros.viewers.player import Player
        except ImportError as error:
            raise OfflineError(f"--window needs Tk ({error}): apt install python3-tk, or omit --window") from error

        player = Player(playing=bool(prompts))
        files = run_with_window(source.name, player, lambda: track_source(session, source, prompts, folder, options.backward, line, player))
    else:
        files = track_source(session, source, prompts, folder, options.backward, line)
    line.end()
    more = [f"warning: {len(source.skipped) - _MAX_SENTENCES} more images were left out"] if len(source.skipped) > _MAX_SENTENCES else []
    skipped = [f"warning: {sentence}" for sentence in source.skipped[:_MAX_SENTENCES]]
    return [*files.counts.sentences(options.backward), *skipped, *more]
