# SPDX-FileCopyrightText: 2026 The lang2segtrack authors
# SPDX-License-Identifier: Apache-2.0
"""`lang2segtrack track`: track objects through a video file, a folder of images, or a camera stream."""

from __future__ import annotations

import argparse
import math
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lang2segtrack_ros.cli.engine_options import add_engine_options, add_run_options, engine_identity, make_session, whole_number
from lang2segtrack_ros.cli.export import add_export_options, export_trace
from lang2segtrack_ros.cli.interruption import INTERRUPTED, stop_on_signals
from lang2segtrack_ros.cli.progress import ProgressLine
from lang2segtrack_ros.cli.prompt_options import add_prompt_options, parse_prompts

if TYPE_CHECKING:  # modules that the parser does not need are imported on use
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.io.sources import CameraSource, ImageSource
    from lang2segtrack_ros.io.trace_files import TraceFiles
    from lang2segtrack_ros.recordings.forward import Scheduled
    from lang2segtrack_ros.recordings.resumable import RunOptions
    from lang2segtrack_ros.viewers.player import Player

EXAMPLES = """examples:
  lang2segtrack track street.mp4 --text "red car. bus." --out out/street
  lang2segtrack track cups.mp4 --box 420,310,560,520=cup --at 60 --backward --out out/cups
  lang2segtrack track images/ --prompts prompts.yaml --out out/images
  lang2segtrack track desk.mp4 --instruct "the mug left of the laptop" --out out/desk
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
    add_run_options(parser)
    parser.add_argument(
        "--keep-unconfirmed", action="store_true", help="keep objects that were detected but never confirmed; most are false alarms"
    )
    parser.add_argument("--fps", type=_rate, help="images per second of a folder (default: 30)")
    parser.add_argument(
        "--frames", type=whole_number(1), metavar="N", help="track only the first N images; Ctrl-C ends a camera stream, too"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="output folder; it must not exist, see --overwrite")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output folder")
    add_export_options(parser, "exports/F in the output folder")
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

    Returns:
        0 if the output is whole, also if an earlier run wrote it. 1 after an error. 130 after an interruption.
    """
    from lang2segtrack_ros.history.backward_pass import RefinementError
    from lang2segtrack_ros.instructions.vlm.model import VlmError
    from lang2segtrack_ros.io.exports.trace import TraceError
    from lang2segtrack_ros.io.sources import SourceError
    from lang2segtrack_ros.models.catalogue import WeightsError
    from lang2segtrack_ros.recordings.runs import OfflineError
    from lang2segtrack_ros.tracking.policies.base import PolicyError
    from lang2segtrack_ros.types.prompts import PromptError

    try:
        return _track(options)
    except (OfflineError, PolicyError, PromptError, RefinementError, SourceError, TraceError, VlmError, WeightsError, OSError) as error:
        print(f"lang2segtrack track: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED


def _track(options: argparse.Namespace) -> int:
    from lang2segtrack_ros.cli.output_folder import OutputFolder
    from lang2segtrack_ros.io.exports.registry import parse_formats
    from lang2segtrack_ros.io.sources import open_source
    from lang2segtrack_ros.recordings.resumable import RunOptions, run_key
    from lang2segtrack_ros.recordings.runs import digest, working_folder

    prompts = parse_prompts(options, allow_empty=options.window)
    formats = [item.name for item in parse_formats(options.exports)]
    if options.window:
        _check_window()
    source = open_source(options.source, options.fps)
    source.limit = options.frames
    path = Path(options.source)
    run_options = RunOptions(prompts, options.backward, options.checkpoint_every, engine_identity(options))
    is_repeatable = source.stored and not options.window
    key = run_key(path, run_options, options.fps, options.frames) if is_repeatable else secrets.token_hex()
    exports = (formats, options.export_images) if formats else ()
    output_key = digest(key, options.backward, options.keep_unconfirmed, *exports)
    output = OutputFolder(options.out, options.overwrite, [path], output_key, _settings(options, source))
    if output.already_done:
        print(f"already done: {output.path}")
        return 0
    with working_folder(output.work, output.path):
        unfinished, sentences = _passes(options, source, run_options, key, output)
    print("\n".join([*sentences, *_skipped(source), *([unfinished] if unfinished else []), f"written: {output.path}"]))
    return INTERRUPTED if unfinished else 0


def _settings(options: argparse.Namespace, source: ImageSource) -> dict[str, Any]:
    """Return what `lang2segtrack review` needs to track an object again."""
    stored = {"source": str(Path(options.source).resolve())} if source.stored else {}
    return {**stored, "segmenter": options.segmenter, "image_size": options.image_size, "policy": options.policy}


def _passes(
    options: argparse.Namespace, source: ImageSource, run_options: RunOptions, key: str, output: OutputFolder
) -> tuple[str, list[str]]:
    """Track through the source, and put the results in place.

    Returns:
        A sentence on the interruption, empty for a whole output, and the sentences on the results.
    """
    from lang2segtrack_ros.io.sources import CameraSource
    from lang2segtrack_ros.io.trace_files import TraceFiles
    from lang2segtrack_ros.recordings.offline import SourceImages, write_traces
    from lang2segtrack_ros.recordings.resumable import ResumableRun
    from lang2segtrack_ros.recordings.runs import InterruptedRunError

    output.clear_partial()
    files = TraceFiles(output.partial, source.fps, options.keep_unconfirmed)
    if isinstance(source, CameraSource):
        with ProgressLine() as line:
            answers = _track_camera(options, source, run_options.prompts, files, line, output.work)
            exported = _export(options, None, output.partial, line)
        output.finish()
        return "", [*answers, *files.sentences(options.backward), *exported]
    unfinished = ""
    with ProgressLine() as line, nullcontext(lambda: False) if options.window else stop_on_signals() as stop:
        make = partial(make_session, options, run_options.prompts, options.window)
        run = ResumableRun(output.work, SourceImages(source), make, run_options, key, line, stop)
        try:
            if options.window:
                _with_window(source.name, bool(run_options.prompts), run.run)
            else:
                run.run()
        except InterruptedRunError as error:
            unfinished = str(error)
        write_traces(run, source, files, line)
        exported = [] if unfinished else _export(options, source, output.partial, line)
    run.close()
    output.finish(unfinished)
    resumed = [f"resumed at image {run.resumed_at} of an earlier run"] if run.resumed_at else []
    return unfinished, [*resumed, *run.answers, *files.sentences(options.backward and not unfinished), *exported]


def _export(options: argparse.Namespace, source: ImageSource | None, folder: Path, line: ProgressLine) -> list[str]:
    """Export the written trace. Return sentences on what was written and left out.

    Args:
        options: parsed options.
        source: the images; None if they are not stored.
        folder: the folder with the trace.
        line: the progress line.
    """
    from lang2segtrack_ros.io.exports.registry import parse_formats
    from lang2segtrack_ros.recordings.exporting import TraceOptions

    formats = parse_formats(options.exports)
    if not formats:
        return []
    folders = [folder / "exports" / item.name for item in formats]
    trace = TraceOptions(Path(options.source).stem, keep_unconfirmed=options.keep_unconfirmed)
    return export_trace(folder, formats, folders, trace, source, (options.export_images, ""), line)


def _track_camera(
    options: argparse.Namespace, source: CameraSource, prompts: Sequence[Scheduled], files: TraceFiles, line: ProgressLine, work: Path
) -> list[str]:
    """Track through a camera stream until it ends, the window is closed, or Ctrl-C. Return the lines of the answers to instructions."""
    from lang2segtrack_ros.history.frame_history import FrameHistory
    from lang2segtrack_ros.recordings.offline import track_camera

    history = None
    if options.backward:
        half_disk = shutil.disk_usage(work).free // 2
        history = FrameHistory(max_seconds=float("inf"), max_bytes=half_disk, folder=work / "history")
    session = make_session(options, prompts, options.window, history=history)
    answers: list[str] = []

    def track(player: Player | None = None) -> None:
        answers.extend(track_camera(session, source, prompts, files, options.backward, line, player))

    if options.window:
        _with_window(source.name, bool(prompts), track)
    else:
        with stop_on_signals(source.stop):
            track()
    return answers


def _check_window() -> None:
    """Raise OfflineError without Tk or a display, before the networks are loaded."""
    from lang2segtrack_ros.recordings.runs import OfflineError

    try:
        from lang2segtrack_ros.cli.track_window import open_screen
    except ImportError as error:
        raise OfflineError(f"--window needs Tk ({error}): apt install python3-tk, or omit --window") from error
    open_screen().destroy()


def _with_window(name: str, is_playing: bool, track: Callable[[Player], None]) -> None:
    """Call a function with a player while the window is open. Raises OfflineError without a display.

    Args:
        name: name of the source.
        is_playing: True to start at once, False to wait for a prompt.
        track: the function.
    """
    from lang2segtrack_ros.cli.track_window import run_with_window
    from lang2segtrack_ros.viewers.player import Player

    player = Player(is_playing)
    run_with_window(name, player, lambda: track(player))


def _skipped(source: ImageSource) -> list[str]:
    """Return warnings on the images that were left out, at most `_MAX_SENTENCES` and their number."""
    more = len(source.skipped) - _MAX_SENTENCES
    listed = [f"warning: {sentence}" for sentence in source.skipped[:_MAX_SENTENCES]]
    return [*listed, f"warning: {more} more images were left out"] if more > 0 else listed
